"""Clips that consist of an audio file and images extracted evenly from their video."""

import torch
from jaxtyping import UInt8
from torch import Tensor

from avblocks.data.clip import AVClip, ClipError
from avblocks.data.datasets.clipset import Item
from avblocks.data.decode.audio import decode_audio, extent
from avblocks.data.decode.image import decode_image
from avblocks.data.decode.media import open_audio

_SPAN = 10.0  # seconds of the video, at most, that the images are spread over


def read_extracted(
    item: Item, *, seconds: float, rate: int, place: float, frames: list[float]
) -> AVClip:
    """Read a window of audio and the images nearest to given positions in it.

    Arguments are those of ``read_clip``; each of the item's images has a ``part``.

    Raises:
        ClipError: If a file cannot be used, or images of one clip differ in size.

    Source: extract_video_frame.py of CAV-MAE, for the times of the images.
    """
    with open_audio(item.path) as media:
        first, end = extent(media)
        start = first + place * max(end - first - seconds, 0)
        audio = decode_audio(media, start=start, seconds=seconds, rate=rate, end=end)
    length, skipped = end - first, start - first
    times = extracted_times(item, length=length)
    wanted = [skipped + frame * min(seconds, length) for frame in frames]
    nearest = [min(range(len(times)), key=lambda n: abs(times[n] - time)) for time in wanted]
    return AVClip(
        image=_decode_images([item.images[number].path for number in nearest]),
        audio=torch.from_numpy(audio),
        rate=rate,
        path=item.path,
        time=times[nearest[0]] - skipped,
    )


def extracted_times(item: Item, *, length: float) -> list[float]:
    """Return the time of each image of an item in an audio of a length, in seconds."""
    return [(file.part or 0.0) * min(length, _SPAN) for file in item.images]


def _decode_images(paths: list[str]) -> UInt8[Tensor, "3 *t height width"]:
    """Decode one image, or several of one size."""
    images = [decode_image(path) for path in paths]
    for path, image in zip(paths, images, strict=True):
        if image.shape != images[0].shape:
            size, other = tuple(image.shape[1:]), tuple(images[0].shape[1:])
            raise ClipError(path, f"the image is {size}, and {paths[0]} is {other}")
    return images[0] if len(images) == 1 else torch.stack(images, dim=1)
