"""Statistics of the video and audio of a clip, accumulated while it is decoded."""

from math import isfinite

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from jaxtyping import Float

from avblocks.data.clip import ClipError
from avblocks.data.decode.frames import display_size, period
from avblocks.data.decode.geometry import Size
from avblocks.data.decode.media import Media
from avblocks.data.decode.packets import lasting

STILLNESS = 4
"""Gray levels of 255 by which a downscaled still image may change, to allow for compression."""
_SMALL = 64  # pixels, both sides of the downscaled frames


class VideoSurvey:
    """Count, size, duration and stillness of video frames, added one by one."""

    def __init__(self, media: Media) -> None:
        self.media, self.period = media, period(media)
        self.size: Size = (0, 0)  # as they are shown
        self.count, self.first, self.last = 0, 0.0, 0.0
        self.still, self.seconds, self.lasting = True, 0.0, self.period
        self._small: np.ndarray | None = None

    def add(self, frame: av.VideoFrame) -> None:
        """Add a frame; stillness is checked once a second."""
        stamp = self.last + self.period if frame.time is None else frame.time
        self.size = self.size if self.count else display_size(frame, self.media)
        self.first = min(self.first, stamp) if self.count else stamp
        self.last = max(self.last, stamp) if self.count else stamp
        if frame.duration and stamp == self.last:  # a last frame may be held for long
            self.lasting = lasting(frame)
        passed, self.seconds = int(self.seconds), self.last - self.first + self.lasting
        self.count += 1
        if self._small is None or (self.still and int(self.seconds) > passed):
            small = VideoReformatter().reformat(frame, _SMALL, _SMALL, "gray", threads=1)
            gray = small.to_ndarray().astype(np.int16)
            self._small = gray if self._small is None else self._small
            self.still = bool(np.abs(gray - self._small).max() <= STILLNESS)

    @property
    def rate(self) -> float:
        """Measured frames per second."""
        alone = self.count < 2 or self.last <= self.first
        return 1 / self.period if alone else (self.count - 1) / (self.last - self.first)


class AudioSurvey:
    """Peak and length of audio samples, added piece by piece."""

    def __init__(self, path: str) -> None:
        self.path, self.peak = path, 0.0
        self.samples, self.begin, self.end = 0, 0, 0

    def add(self, place: int, samples: Float[np.ndarray, " s"]) -> None:
        """Add samples; ``place`` is the index of the first one."""
        self.begin = place if not self.samples else self.begin
        self.end, self.samples = place + len(samples), self.samples + len(samples)
        peak = float(np.abs(samples).max(initial=0.0))
        if not isfinite(peak):
            raise ClipError(self.path, "the audio holds NaN or infinite values")
        self.peak = max(self.peak, peak)

    @property
    def length(self) -> int:
        """Number of samples from the first to the last one, including gaps."""
        return self.end - self.begin
