"""Clips that consist of an audio file and separate image files."""

from math import nan

import torch
from jaxtyping import UInt8
from torch import Tensor

from avblocks.data.clip import AVClip, ClipError, Frames
from avblocks.data.datasets.clipset import Item, StillImage
from avblocks.data.decode.audio import decode_audio, extent
from avblocks.data.decode.image import decode_image, decode_mask
from avblocks.data.decode.media import open_audio

Mask = UInt8[Tensor, "height width"]


def read_stills(item: Item, *, seconds: float, rate: int, place: float, frame: float) -> AVClip:
    """Read a window of audio and the images of an item, without its labels and boxes.

    Arguments are those of ``read_clip``. The window contains the time of the image ``frame``; if
    the image has no time, ``place`` alone selects the window.

    Raises:
        ClipError: If a file cannot be used.
    """
    files = item.images
    number = min(int(frame * len(files)), len(files) - 1)
    time = files[number].time
    with open_audio(item.path) as media:
        first, end = extent(media)
        room = max(end - first - seconds, 0)
        start = first + place * room
        if time is not None:
            start = first + min(max(time - seconds * (1 - place), 0), room)
        audio = decode_audio(media, start=start, seconds=seconds, rate=rate, end=end)
    decoded = [_decode(file) for file in files]
    frames = _frames(files, decoded, start=start - first) if len(files) > 1 else None
    image, mask = decoded[number]
    return AVClip(
        image=image,
        audio=torch.from_numpy(audio),
        rate=rate,
        path=item.path,
        time=None if time is None else time - (start - first),
        mask=mask,
        frames=frames,
    )


def _decode(file: StillImage) -> tuple[UInt8[Tensor, "3 height width"], Mask | None]:
    """Decode an image and its mask, if it has one."""
    image = decode_image(file.path)
    if file.mask is None:
        return image, None
    mask = decode_mask(file.mask, binary=file.binary)
    if mask.shape != image.shape[1:]:
        sizes = f"{tuple(mask.shape)}, and {file.path} is {tuple(image.shape[1:])}"
        raise ClipError(file.mask, f"the mask is {sizes}")
    return image, mask


def _frames(
    files: tuple[StillImage, ...],
    decoded: list[tuple[UInt8[Tensor, "3 height width"], Mask | None]],
    *,
    start: float,
) -> Frames:
    """Stack images of one size, with their times and masks."""
    size = decoded[0][0].shape[1:]
    for file, (image, _) in zip(files, decoded, strict=True):
        if image.shape[1:] != size:
            sizes = f"{tuple(image.shape[1:])}, and {files[0].path} is {tuple(size)}"
            raise ClipError(file.path, f"the image is {sizes}")
    blank = torch.zeros(size, dtype=torch.uint8)
    times = [nan if file.time is None else file.time - start for file in files]
    return Frames(
        image=torch.stack([image for image, _ in decoded]),
        time=torch.tensor(times),
        mask=torch.stack([blank if mask is None else mask for _, mask in decoded]),
        masked=torch.tensor([mask is not None for _, mask in decoded]),
    )
