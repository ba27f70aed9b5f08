"""Look a clip through from its first byte to its last, and say what is wrong with it."""

import hashlib
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from avblocks.data._media import Media, open_media
from avblocks.data.clip import ClipError

SILENCE = 1e-3
"""Peak below which a sound is silent: -60 dB of full scale."""
STILLNESS = 4
"""Grey levels of 255 by which a small copy of a still picture may change: what compression does."""
LONGEST = 600.0
"""Seconds that are decoded of each stream; what comes after is not looked at."""
_MOST = 36_000  # frames: 60 a second of them
_SMALL = 64  # pixels, both sides of the small copies
_LOST = 0.5  # seconds that a stream may be shorter than its file says


@dataclass(frozen=True, kw_only=True)
class ClipHealth:
    """What is known of a clip once all of it was decoded; ``None`` where that was not possible.

    Attributes:
        path: The file.
        reason: Why it cannot be used; empty if it can.
        video_seconds: Duration of the pictures; by the file's own account if over ``LONGEST``.
        audio_seconds: Duration of the sound, likewise.
        frame_rate: Pictures a second.
        sample_rate: Samples a second.
        width: Of the pictures, pixels, before they are turned as the file says.
        height: Likewise.
        silent: Whether no sample reaches ``SILENCE``.
        still: Whether the pictures, one a second of them, stay the same within ``STILLNESS``.
        sha256: Of the file's bytes: equal for exact duplicates.
    """

    path: str
    reason: str = ""
    video_seconds: float | None = None
    audio_seconds: float | None = None
    frame_rate: float | None = None
    sample_rate: int | None = None
    width: int | None = None
    height: int | None = None
    silent: bool | None = None
    still: bool | None = None
    sha256: str | None = None


def check_clip(path: str | Path) -> ClipHealth:
    """Decode a whole clip once, as far as ``LONGEST``; a bad file gives a reason and no error.

    Args:
        path: An mp4, mov, mkv, webm or avi file.

    Returns:
        What was found.
    """
    health = ClipHealth(path=str(path))
    try:
        if Path(path).is_file():  # anything else, a pipe for one, may never end
            with Path(path).open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            health = replace(health, sha256=digest)
        with open_media(health.path) as media:
            return _decode_all(media, health)
    except ClipError as error:
        return replace(health, reason=error.reason)
    except OSError as error:
        return replace(health, reason=f"cannot be opened ({error.strerror})")


class _Pictures:
    """What is seen of the pictures while they pass."""

    def __init__(self, media: Media) -> None:
        self.period = float(1 / media.video.average_rate) if media.video.average_rate else 0.04
        self.count, self.first, self.last = 0, 0.0, 0.0
        self.still, self.seconds = True, 0.0
        self._small: np.ndarray | None = None

    def add(self, frame: av.VideoFrame) -> None:
        """Look at a picture, closely once a second."""
        stamp = self.last + self.period if frame.time is None else frame.time
        self.first = min(self.first, stamp) if self.count else stamp
        self.last = max(self.last, stamp) if self.count else stamp
        passed, self.seconds = int(self.seconds), self.last - self.first + self.period
        self.count += 1
        if self._small is None or (self.still and int(self.seconds) > passed):
            small = VideoReformatter().reformat(frame, _SMALL, _SMALL, "gray", threads=1)
            grey = small.to_ndarray().astype(np.int16)
            self._small = grey if self._small is None else self._small
            self.still = bool(np.abs(grey - self._small).max() <= STILLNESS)

    @property
    def rate(self) -> float:
        """Pictures a second, as they came."""
        alone = self.count < 2 or self.last <= self.first
        return 1 / self.period if alone else (self.count - 1) / (self.last - self.first)


class _Sound:
    """What is heard of the sound while it passes."""

    def __init__(self, media: Media) -> None:
        self.path, self.rate = media.path, media.audio.codec_context.sample_rate
        self.samples, self.peak = 0, 0.0

    def add(self, frame: av.AudioFrame) -> None:
        """Listen to some samples."""
        if frame.sample_rate != self.rate:
            reason = f"the rate changes from {self.rate} to {frame.sample_rate} Hz"
            raise ClipError(self.path, reason)
        samples = frame.to_ndarray()
        zero, full = 0.0, 1.0
        if samples.dtype.kind in "iu":
            full = 2.0 ** (8 * samples.dtype.itemsize - 1)
            zero = full if samples.dtype.kind == "u" else 0.0
        peak = max(float(samples.max()) - zero, zero - float(samples.min())) / full
        if not isfinite(peak):
            raise ClipError(self.path, "the sound holds values that are not numbers")
        self.samples, self.peak = self.samples + frame.samples, max(self.peak, peak)

    @property
    def seconds(self) -> float:
        """How much sound there was."""
        return self.samples / self.rate


def _decode_all(media: Media, health: ClipHealth) -> ClipHealth:
    """Decode both streams side by side and put together what was found."""
    pictures, sound = _Pictures(media), _Sound(media)
    cut = False
    for packet in media.container.demux(media.video, media.audio):
        for frame in packet.decode():
            if isinstance(frame, av.VideoFrame):
                pictures.add(frame)
            elif isinstance(frame, av.AudioFrame):
                sound.add(frame)
        cut = max(pictures.seconds, sound.seconds) > LONGEST or pictures.count > _MOST
        if cut:
            break
    told = [float((s.duration or 0) * (s.time_base or 0)) for s in (media.video, media.audio)]
    found = [pictures.seconds if pictures.count else 0.0, sound.seconds]
    return replace(
        health,
        reason=_reason(pictures, sound) or ("" if cut else _lost(told, found)),
        video_seconds=max(told[0], found[0]) if cut else found[0],
        audio_seconds=max(told[1], found[1]) if cut else found[1],
        frame_rate=pictures.rate if pictures.count else None,
        sample_rate=sound.rate,
        width=media.video.codec_context.width,
        height=media.video.codec_context.height,
        silent=sound.peak < SILENCE,
        still=pictures.still,
    )


def _reason(pictures: _Pictures, sound: _Sound) -> str:
    """Say which stream is empty, if one is."""
    if not pictures.count:
        return "no video frame can be decoded"
    return "" if sound.samples else "no sound can be decoded"


def _lost(told: list[float], found: list[float]) -> str:
    """Say how much is missing of what the file promises, if any is."""
    for kind, wanted, there in zip(("picture", "sound"), told, found, strict=True):
        if there < wanted - _LOST:
            return f"cut short: {there:.1f} s of the {wanted:.1f} s of {kind} can be decoded"
    return ""
