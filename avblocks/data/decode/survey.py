"""What is seen and heard of a clip while all of it passes."""

from math import isfinite

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from avblocks.data.clip import ClipError
from avblocks.data.decode.frames import period
from avblocks.data.decode.media import Media, Sound

STILLNESS = 4
"""Grey levels of 255 by which a small copy of a still picture may change: what compression does."""
_SMALL = 64  # pixels, both sides of the small copies


class PassingPictures:
    """What is seen of the pictures while they pass."""

    def __init__(self, media: Media) -> None:
        self.period = period(media)
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


class PassingSound:
    """What is heard of the sound while it passes."""

    def __init__(self, media: Media | Sound) -> None:
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
