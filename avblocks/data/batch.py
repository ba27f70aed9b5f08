"""Batches of clips, as returned by the data loader workers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, SupportsIndex

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor
from torch.nn.functional import pad
from torch.utils.data._utils.collate import default_collate_fn_map

from avblocks.shapes import FLOATS, require

_FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
# Fields of a batch that are tensors or None: their data types, what they are, and numbers of axes.
_FIELDS: dict[str, tuple[tuple[torch.dtype, ...], str, tuple[int, ...]]] = {
    "image": (
        (torch.uint8,),
        "(b, 3, height, width) or (b, 3, t, height, width) of bytes from 0 to 255; give normalized "
        "images to the encoder itself",
        (4, 5),
    ),
    "audio": (_FLOATS, f"(b, s) {FLOATS}", (2,)),
    "flip": ((torch.bool,), "(b,) of booleans", (1,)),
    "gain": (_FLOATS, "(b,) of floats, dB", (1,)),
    "target": (_FLOATS, "(b, classes) of floats, 1 for each class of a clip", (2,)),
    "crop": (_FLOATS, "(b, 4) of floats, pixels", (2,)),
    "mask": ((torch.uint8,), "(b, height, width) of bytes, class numbers", (3,)),
}


@dataclass(frozen=True)
class Skipped:
    """A file that was skipped, and the reason."""

    path: str
    reason: str


@dataclass(frozen=True)
class AVBatch:
    """Clips with their random crops, flips and gains, which `FrontEnd` applies on the device.

    Attributes:
        image: Images, or videos of ``t`` frames, padded to one size with black at the right and
            bottom.
        audio: Audio samples in [-1, 1].
        flip: Which images to mirror.
        gain: Gain of the audio, dB.
        target: 1 for each class of a clip, else 0.
        seeds: Seed of each sample, on the host.
        paths: Source file of each clip.
        skipped: Files that were skipped while the batch was read.
        crop: Left, top, right and bottom of the crop of each image, pixels; the whole image if not
            given.
        size: Side of the square that crops are resized to, pixels.
        mask: Class numbers of the pixels, 0 for background, if the clips have masks.
        boxes: Boxes of the sounding objects of each image, see ``AVClip``; on the host, relative to
            the whole image, not to the crop.
        features: Outputs of a frozen encoder by name, in place of image and audio, which are then
            empty; `avblocks.tasks.encode_once` makes such batches.
        group: Number of consecutive clips that form a group, such as a mixture or a pair.

    Raises:
        TypeError: If a part is no tensor.
        ValueError: If a part has another data type or other axes, or the parts are not of equally
            many clips.
    """

    image: UInt8[Tensor, "b 3 *t height width"]
    audio: Float[Tensor, "b s"]
    flip: Bool[Tensor, " b"]
    gain: Float[Tensor, " b"]
    target: Float[Tensor, "b classes"]
    seeds: tuple[int, ...]
    paths: tuple[str, ...]
    skipped: tuple[Skipped, ...] = ()
    crop: Float[Tensor, "b 4"] | None = None
    size: int = 0
    mask: UInt8[Tensor, "b height width"] | None = None
    boxes: tuple[Float[Tensor, "_ 4"] | None, ...] = ()
    features: Mapping[str, Tensor] | None = None
    group: int = 1

    def __post_init__(self) -> None:
        for name, (dtype, takes, axes) in _FIELDS.items():
            if (x := getattr(self, name)) is not None:
                _require_field(x, name, dtype=dtype, takes=takes, axes=axes)
        tensors = {name: getattr(self, name) for name in _FIELDS} | dict(self.features or {})
        parts = {name: len(x) for name, x in tensors.items() if x is not None}
        parts |= {"seeds": len(self.seeds), "boxes": len(self.boxes) or len(self)}
        for name, kind in {"seeds": self.seeds, "paths": self.paths}.items():
            if not isinstance(kind, tuple):
                raise TypeError(f"{name} must be a tuple, got {type(kind).__name__}")
        for name, count in parts.items():
            require(count == len(self), name, count, "of {} clips, as paths are", len(self))

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, rows: SupportsIndex | slice | Sequence[int] | Tensor) -> "AVBatch":
        """Return a batch of selected clips: ``batch[:6]``, ``batch[0::2]``, ``batch[[2, 0]]``.

        ``group`` is kept if whole groups are selected, else it becomes 1.

        Args:
            rows: A slice, an index (for a batch of one clip), a list of indices or a boolean mask.

        Raises:
            IndexError: If there is no such clip.
        """
        if isinstance(rows, Tensor):
            where: Any = rows.numpy(force=True)
        else:
            where = list(rows) if isinstance(rows, Sequence) else rows
        indices = np.atleast_1d(np.arange(len(self))[where]).tolist()
        # A slice of a tensor is a view and needs no indices on the device.
        forward = isinstance(rows, slice) and (rows.step or 1) > 0
        return replace(
            self,
            **self._mapped(lambda tensor: tensor[rows if forward else indices]),
            seeds=tuple(self.seeds[i] for i in indices),
            paths=tuple(self.paths[i] for i in indices),
            boxes=tuple(self.boxes[i] for i in indices) if self.boxes else (),
            group=self.group if _in_groups(indices, self.group) else 1,
        )

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> "AVBatch":
        """Return the batch with its tensors on a device."""
        return self.map(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> "AVBatch":
        """Return the batch with its tensors in page-locked memory; ``DataLoader`` calls this."""
        return self.map(Tensor.pin_memory)

    def map(self, function: Callable[[Tensor], Tensor]) -> "AVBatch":
        """Apply a function to each tensor; the number of clips must stay."""
        return replace(self, **self._mapped(function))

    def _mapped(self, function: Callable[[Tensor], Tensor]) -> dict[str, Any]:
        tensors = {name: x for name in _FIELDS if (x := getattr(self, name)) is not None}
        changed: dict[str, Any] = {name: function(tensor) for name, tensor in tensors.items()}
        if self.features is not None:
            changed["features"] = {name: function(x) for name, x in self.features.items()}
        return changed


def _require_field(
    x: Any, name: str, *, dtype: tuple[torch.dtype, ...], takes: str, axes: tuple[int, ...]
) -> None:
    if not isinstance(x, Tensor):
        raise TypeError(f"{name} must be a torch.Tensor of {takes}, got {type(x).__name__}")
    fits = x.dtype in dtype and x.ndim in axes and (name != "image" or x.shape[1] == 3)
    require(fits, name, f"{tuple(x.shape)} of {x.dtype}", takes)


def collate(batches: Sequence[AVBatch]) -> AVBatch:
    """Concatenate batches of one clip or none, and pad their images to one size.

    Raises:
        ValueError: If there are none, or they differ in the shapes or kinds of their parts, in
            size or in group.
    """
    require(len(batches) > 0, "batches", len(batches), "at least one")
    sizes = (batch.image.shape[-2:] for batch in batches)
    sides = [max(lengths) for lengths in zip(*sizes, strict=True)]
    skipped = sum((batch.skipped for batch in batches), ())
    batches = [batch for batch in batches if len(batch)] or batches[:1]
    _require_alike(batches)
    crops = [batch.crop for batch in batches if batch.crop is not None]
    masks = [_pad_to(batch.mask, *sides) for batch in batches if batch.mask is not None]
    features = [batch.features for batch in batches if batch.features is not None]
    return AVBatch(
        image=torch.cat([_pad_to(batch.image, *sides) for batch in batches]),
        audio=torch.cat([batch.audio for batch in batches]),
        flip=torch.cat([batch.flip for batch in batches]),
        gain=torch.cat([batch.gain for batch in batches]),
        target=torch.cat([batch.target for batch in batches]),
        seeds=sum((batch.seeds for batch in batches), ()),
        paths=sum((batch.paths for batch in batches), ()),
        skipped=skipped,
        crop=torch.cat(crops) if crops else None,
        size=batches[0].size,
        mask=torch.cat(masks) if masks else None,
        boxes=sum((batch.boxes for batch in batches), ()),
        features={name: torch.cat([one[name] for one in features]) for name in features[0]}
        if features
        else None,
        group=batches[0].group,
    )


def _require_alike(batches: Sequence[AVBatch]) -> None:
    """Raise a ``ValueError`` that names two clips unless all batches have the same parts."""
    alike: list[tuple[str, Callable[[AVBatch], object]]] = [
        ("axes of the image", lambda batch: batch.image.shape[1:-2]),
        ("samples of audio", lambda batch: batch.audio.shape[1]),
        ("classes", lambda batch: batch.target.shape[1]),
        ("size of the crops", lambda batch: batch.size),
        ("group", lambda batch: batch.group),
        ("a crop", lambda batch: batch.crop is not None),
        ("a mask", lambda batch: batch.mask is not None),
        ("boxes", lambda batch: len(batch.boxes) > 0),
        ("features", lambda batch: None if batch.features is None else sorted(batch.features)),
    ]
    for name, part in alike:
        values = [part(batch) for batch in batches]
        other = next((n for n, value in enumerate(values) if value != values[0]), None)
        if other is not None:
            (first, *_), (path, *_) = batches[0].paths, batches[other].paths
            raise ValueError(
                f"clips of one batch differ in {name}: {values[0]} of {first}, {values[other]} of "
                f"{path}; data sets that are concatenated need the same ClipFormat and classes"
            )


# So that a plain `DataLoader` can collate samples.
default_collate_fn_map[AVBatch] = lambda batches, **_: collate(batches)


def _in_groups(indices: Sequence[int], size: int) -> bool:
    """Return whether the indices select whole groups in order."""
    groups = (indices[start : start + size] for start in range(0, len(indices), size))
    return all(g[0] % size == 0 and g == list(range(g[0], g[0] + size)) for g in groups)


def _pad_to(
    image: UInt8[Tensor, "*shape height width"], down: int, across: int
) -> UInt8[Tensor, "*shape {down} {across}"]:
    """Pad with black at the right and bottom."""
    return pad(image, (0, across - image.shape[-1], 0, down - image.shape[-2]))
