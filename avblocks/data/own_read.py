"""Readers of clips, ours and your own: their signature, and a check of what they return."""

from collections.abc import Sequence
from math import inf
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from avblocks.data.clip import AVClip, ClipError
from avblocks.data.datasets.clipset import Item
from avblocks.data.format import ClipFormat

_LOUDEST = 256.0  # samples of 16 bits that were only cast to floats are louder


@runtime_checkable
class ReadClip(Protocol):
    """Signature of a clip reader: ``read_clip``, or another function called like it."""

    def __call__(
        self, item: Item, /, *, seconds: float, rate: int, place: float, frame: float
    ) -> AVClip:
        """Read a window of audio and one frame of it; or several, if called with ``frames`` too."""
        ...


def read_checked(
    read: ReadClip,
    item: Item,
    *,
    format: ClipFormat,
    classes: Sequence[str],
    at: float,
    frame: float,
) -> AVClip:
    """Read a clip, and check that it is one of the format.

    Args:
        read: Clip reader.
        item: The clip.
        format: Window, rate and frames.
        classes: Names of the classes of the masks; without, masks are not compared with them.
        at: Place of the window between the first and the last one, from 0 to 1.
        frame: Place of the frame in the window, from 0 to 1.

    Raises:
        ClipError: If the file cannot be used, or a mask has another class.
        ValueError: If the reader returns a clip of another kind than `AVClip` says.
    """
    several: dict[str, Any] = {"frames": format.frames} if format.frames > 1 else {}
    clip = read(item, seconds=format.seconds, rate=format.rate, place=at, frame=frame, **several)
    _check_clip(clip, item, format)
    if clip.mask is not None and classes:
        _check_classes(clip.mask, item, count=max(len(classes), 2))
    return clip


def _check_clip(clip: AVClip, item: Item, format: ClipFormat) -> None:
    """Raise a ``ValueError`` unless a reader returned a clip as `AVClip` describes it."""
    if not isinstance(clip, AVClip):
        kind = type(clip).__name__
        raise ValueError(f"{item.path}: the reader returned {kind}, and a clip is an AVClip")
    image, mask = clip.image, clip.mask
    frames = () if format.frames == 1 else (format.frames,)
    sides = tuple(image.shape[-2:])
    parts: tuple[tuple[str, Tensor | None, torch.dtype, tuple[int | str, ...]], ...] = (
        ("image", image, torch.uint8, (3, *frames, "height", "width")),
        ("audio", clip.audio, torch.float32, ("samples",)),
        ("mask", mask, torch.uint8, sides),
    )
    for name, part, dtype, shape in parts:
        if part is not None and (part.dtype != dtype or not _fits(part.shape, shape)):
            wanted = ", ".join(map(str, shape))
            raise ValueError(
                f"{item.path}: the reader returned {name} of {part.dtype} {tuple(part.shape)}, and "
                f"a clip of this format has {dtype} ({wanted})"
            )
    loudest = float(clip.audio.abs().amax())
    if _LOUDEST < loudest < inf:  # what is not finite is found in the loss, which names the clip
        raise ValueError(
            f"{item.path}: the reader returned audio of up to {loudest:g}, and a clip has audio in "
            "[-1, 1]: divide samples of 16 bits by 32768"
        )
    if clip.rate != format.rate:
        raise ValueError(
            f"{item.path}: the reader returned audio of {clip.rate} samples per second, and the "
            f"format has {format.rate}"
        )


def _fits(found: Sequence[int], wanted: Sequence[int | str]) -> bool:
    """Return whether a shape is the wanted one; named sides may be of any length above 0."""
    sides = zip(found, wanted, strict=False)
    return len(found) == len(wanted) and all(n == w or (isinstance(w, str) and n) for n, w in sides)


def _check_classes(mask: Tensor, item: Item, *, count: int) -> None:
    """Raise a ClipError if a mask has class numbers from ``count`` on."""
    if (most := int(mask.max())) >= count:
        files = [image.mask for image in item.images if image.mask]
        known = f"the data has {count} classes, 0 to {count - 1}"
        remedy = "correct the mask" if most < 255 else "pixels to ignore cannot be marked: give 0"
        raise ClipError(
            files[0] if len(files) == 1 else item.path,
            f"the mask has class number {most}, and {known}; {remedy}",
        )
