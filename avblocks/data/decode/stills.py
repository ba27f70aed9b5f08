"""Clips that consist of an audio file and separate image files."""

from collections.abc import Sequence
from dataclasses import replace
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
    times = [file.time for file in item.images]
    with open_audio(item.path) as media:
        first, end = extent(media)
        number, after = choose_still(
            times, length=end - first, seconds=seconds, place=place, frame=frame
        )
        start = first + after
        audio = decode_audio(media, start=start, seconds=seconds, rate=rate, end=end)
    clip = AVClip(
        image=torch.zeros(3, 0, 0, dtype=torch.uint8),
        audio=torch.from_numpy(audio),
        rate=rate,
        path=item.path,
    )
    decoded = [decode_still(file) for file in item.images]
    return with_stills(clip, item.images, decoded, number=number, start=start - first)


def choose_still(
    times: Sequence[float | None], *, length: float, seconds: float, place: float, frame: float
) -> tuple[int, float]:
    """Choose an image file, and the window of ``seconds`` in an audio of ``length`` around it.

    Returns:
        The number of the image, and the start of the window in seconds.

    >>> choose_still([0.5, 2.5], length=4.0, seconds=1.0, place=0.5, frame=1.0)
    (1, 2.0)
    """
    number, room = min(int(frame * len(times)), len(times) - 1), max(length - seconds, 0)
    time = times[number]
    start = place * room if time is None else min(max(time - seconds * (1 - place), 0), room)
    return number, start


def with_stills(
    clip: AVClip,
    files: tuple[StillImage, ...],
    decoded: list[tuple[UInt8[Tensor, "3 height width"], Mask | None]],
    *,
    number: int,
    start: float,
) -> AVClip:
    """Add images to the audio of a clip, which starts after ``start`` seconds.

    Args:
        clip: The clip, whose image is not used.
        files: The image files.
        decoded: Their images and masks.
        number: The image that the clip shows.
        start: Time at which the window starts, in seconds of the audio file.

    Raises:
        ClipError: If images differ in size.
    """
    (image, mask), time = decoded[number], files[number].time
    return replace(
        clip,
        image=image,
        mask=mask,
        time=None if time is None else time - start,
        frames=_frames(files, decoded, start=start) if len(files) > 1 else None,
    )


def decode_still(file: StillImage) -> tuple[UInt8[Tensor, "3 height width"], Mask | None]:
    """Decode an image and its mask, if it has one."""
    image = decode_image(file.path)
    if file.mask is None:
        return image, None
    mask = decode_mask(file.mask, binary=file.binary)
    if mask.shape != image.shape[1:]:
        sizes = f"{tuple(mask.shape)}, and {file.path} is {tuple(image.shape[1:])}"
        raise ClipError(file.mask, f"the mask is {sizes}; resize it without interpolation")
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
