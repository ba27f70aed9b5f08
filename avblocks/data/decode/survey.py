"""What is seen and heard of a clip while all of it passes."""

from math import isfinite

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from jaxtyping import Float

from avblocks.data.clip import ClipError
from avblocks.data.decode.frames import period, shown_size
from avblocks.data.decode.geometry import Size
from avblocks.data.decode.media import Media
from avblocks.data.decode.packets import lasting

STILLNESS = 4
"""Grey levels of 255 by which a small copy of a still picture may change: what compression does."""
_SMALL = 64  # pixels, both sides of the small copies


class PassingPictures:
    """What is seen of the pictures while they pass."""

    def __init__(self, media: Media) -> None:
        self.media, self.period = media, period(media)
        self.size: Size = (0, 0)  # as they are shown
        self.count, self.first, self.last = 0, 0.0, 0.0
        self.still, self.seconds, self.lasting = True, 0.0, self.period
        self._small: np.ndarray | None = None

    def add(self, frame: av.VideoFrame) -> None:
        """Look at a picture, closely once a second."""
        stamp = self.last + self.period if frame.time is None else frame.time
        self.size = self.size if self.count else shown_size(frame, self.media)
        self.first = min(self.first, stamp) if self.count else stamp
        self.last = max(self.last, stamp) if self.count else stamp
        if frame.duration and stamp == self.last:  # of a held last picture it is long
            self.lasting = lasting(frame)
        passed, self.seconds = int(self.seconds), self.last - self.first + self.lasting
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

    def __init__(self, path: str) -> None:
        self.path, self.peak = path, 0.0
        self.samples, self.begin, self.end = 0, 0, 0

    def add(self, place: int, samples: Float[np.ndarray, " s"]) -> None:
        """Listen to some samples, which begin at a place."""
        self.begin = place if not self.samples else self.begin
        self.end, self.samples = place + len(samples), self.samples + len(samples)
        peak = float(np.abs(samples).max(initial=0.0))
        if not isfinite(peak):
            raise ClipError(self.path, "the sound holds values that are not numbers")
        self.peak = max(self.peak, peak)

    @property
    def length(self) -> int:
        """Samples from the first to the last one, gaps included."""
        return self.end - self.begin
