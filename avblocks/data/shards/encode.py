"""Encode a clip as members of a shard."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from avblocks.data.clip import ClipError
from avblocks.data.datasets.clipset import Item
from avblocks.data.decode.audio import Wave, decode_audio, extent
from avblocks.data.decode.extracted import extracted_times
from avblocks.data.decode.frames import decode_frames
from avblocks.data.decode.media import AudioFile, Media, open_audio, open_media
from avblocks.data.shards.flac import checksums, encode_flac
from avblocks.data.shards.images import encode_image, encode_stills
from avblocks.data.shards.notes import Kind, Notes
from avblocks.data.shards.tar import frame_suffixes

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


def encode_clip(item: Item, *, classes: Sequence[str], settings: ShardSettings) -> dict[str, bytes]:
    """Decode a whole clip and encode its members of a shard.

    Returns:
        Notes, audio, images and masks by the suffixes of their names.

    Raises:
        ClipError: If a file cannot be used, or is longer than ten minutes.
    """
    kind: Kind = "video"
    times: Sequence[float | None]
    if item.images:
        with open_audio(item.path) as media:
            audio, start, duration = _whole_audio(media, rate=settings.rate)
        extracted = item.images[0].part is not None
        kind = "extracted" if extracted else "stills"
        known = [image.time for image in item.images]
        times = extracted_times(item, length=duration) if extracted else known
        images = encode_stills(item.images, side=settings.side, quality=settings.quality)
    else:
        with open_media(item.path) as media:
            audio, start, duration = _whole_audio(media, rate=settings.rate)
        times = image_times(duration, fps=settings.fps)
        frames = _frames(item.path, [start + time for time in times], settings)
        images = dict(zip(frame_suffixes(len(times)), frames, strict=True))
    samples = np.clip(np.round(audio * 32768), -32768, 32767).astype(np.int16)
    flac, blocks = encode_flac(samples, rate=settings.rate)
    notes = Notes(
        id=item.id,
        path=item.path,
        labels=item.labels,
        classes=tuple(classes[label] for label in item.labels),
        duration=duration,
        rate=settings.rate,
        times=tuple(times),
        blocks=tuple(blocks),
        checks=checksums(flac, blocks),
        kind=kind,
    )
    return {"json": notes.to_json(), "flac": flac, **images}


def _whole_audio(media: Media | AudioFile, *, rate: int) -> tuple[Wave, float, float]:
    """Decode the whole audio; return also where it starts, and its duration, in seconds."""
    start, end = extent(media)
    if end - start > _MAX_SECONDS:
        limit = f"over the {_MAX_SECONDS:.0f} s allowed: cut it first"
        raise ClipError(media.path, f"{end - start:.0f} s long, {limit}")
    seconds = end - start if end > start else _MAX_SECONDS  # if the metadata lack it
    audio = decode_audio(media, start=start, seconds=seconds, rate=rate, end=end)
    # The duration in the metadata, as in `read_clip`, unless fewer samples were decoded.
    complete = 0 < (end - start) * rate <= len(audio) + 1
    return audio, start, end - start if complete else len(audio) / rate


def _frames(path: str, times: Sequence[float], settings: ShardSettings) -> Iterator[bytes]:
    """Decode the frames of a video at some times, and encode them."""
    with open_media(path) as media:
        for image in decode_frames(media, times=times):
            yield encode_image(image, side=settings.side, quality=settings.quality)


def image_times(duration: float, *, fps: float) -> tuple[float, ...]:
    """Return evenly spaced times of images, one of them in the middle, used for evaluation.

    >>> image_times(4.5, fps=1.0)
    (0.25, 1.25, 2.25, 3.25, 4.25)
    """
    half = duration / 2
    steps = range(-math.floor(half * fps), max(math.ceil(half * fps), 1))
    return tuple(half + step / fps for step in steps)
