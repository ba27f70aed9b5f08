"""Encode a media file as members of a shard."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from avblocks.data.clip import ClipError
from avblocks.data.datasets.clipset import Item
from avblocks.data.decode.audio import decode_audio, extent
from avblocks.data.decode.frames import RgbImage, decode_frames, to_tensor
from avblocks.data.decode.media import open_media
from avblocks.data.resize import resize_short
from avblocks.data.shards.flac import checksums, encode_flac
from avblocks.data.shards.jpeg import encode_jpeg
from avblocks.data.shards.notes import Notes

_MAX_SECONDS = 600.0


@dataclass(frozen=True, kw_only=True)
class ShardSettings:
    """Settings of the shards.

    Attributes:
        side: Short side of the images, pixels; smaller images are not resized.
        fps: Images per second. A window of 1 / fps seconds or more always contains one.
        quality: JPEG quality on FFmpeg's scale, from 2 (best) to 31.
        rate: Audio samples per second.
        clips: Clips per shard; 2000 clips of ten seconds are about 1 GB.

    >>> ShardSettings(fps=2)
    ShardSettings(side=256, fps=2, quality=2, rate=16000, clips=2000)
    """

    side: int = 256
    fps: float = 1.0
    quality: int = 2
    rate: int = 16000
    clips: int = 2000

    def __post_init__(self) -> None:
        numbers = self.side >= 16 and 0 < self.fps <= 16 and 2 <= self.quality <= 31
        if not numbers or not 1000 <= self.rate <= 192_000 or self.clips < 1:
            raise ValueError(
                "expected side >= 16, fps > 0 and <= 16, quality from 2 to 31, rate from 1000 to "
                f"192000 and clips >= 1, got {self}"
            )


def encode_clip(item: Item, *, classes: Sequence[str], settings: ShardSettings) -> list[bytes]:
    """Decode a whole clip and encode its members of a shard: notes, audio, images.

    Raises:
        ClipError: If the file cannot be used, or is longer than ten minutes.
    """
    with open_media(item.path) as media:
        start, end = extent(media)
        if end - start > _MAX_SECONDS:
            limit = f"over the {_MAX_SECONDS:.0f} s allowed: cut it first"
            raise ClipError(item.path, f"{end - start:.0f} s long, {limit}")
        seconds = end - start if end > start else _MAX_SECONDS  # if the metadata lack it
        audio = decode_audio(media, start=start, seconds=seconds, rate=settings.rate, end=end)
    # The duration in the metadata, as in `read_clip`, unless fewer samples were decoded.
    complete = 0 < (end - start) * settings.rate <= len(audio) + 1
    duration = end - start if complete else len(audio) / settings.rate
    times = image_times(duration, fps=settings.fps)
    with open_media(item.path) as media:
        frames = decode_frames(media, times=[start + time for time in times])
        images = [_jpeg(image, settings=settings) for image in frames]
    samples = np.clip(np.round(audio * 32768), -32768, 32767).astype(np.int16)
    flac, blocks = encode_flac(samples, rate=settings.rate)
    notes = Notes(
        id=item.id,
        path=item.path,
        labels=item.labels,
        classes=tuple(classes[label] for label in item.labels),
        duration=duration,
        rate=settings.rate,
        times=times,
        blocks=tuple(blocks),
        checks=checksums(flac, blocks),
    )
    return [notes.to_json(), flac, *images]


def image_times(duration: float, *, fps: float) -> tuple[float, ...]:
    """Return evenly spaced times of images, one of them in the middle, used for evaluation.

    >>> image_times(4.5, fps=1.0)
    (0.25, 1.25, 2.25, 3.25, 4.25)
    """
    half = duration / 2
    steps = range(-math.floor(half * fps), max(math.ceil(half * fps), 1))
    return tuple(half + step / fps for step in steps)


def _jpeg(image: RgbImage, *, settings: ShardSettings) -> bytes:
    """Downscale an image to the short side of the settings and encode it."""
    if min(image.shape[:2]) > settings.side:
        small = resize_short(to_tensor(image), side=settings.side)
        image = small.permute(1, 2, 0).numpy()
    return encode_jpeg(np.ascontiguousarray(image), quality=settings.quality)
