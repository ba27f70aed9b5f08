"""`VideoCopy`: an mp4 file that copies another video, with overlays drawn on its frames."""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from math import inf
from pathlib import Path

import av
from av.container import OutputContainer

from avblocks.data.decode.frames import period
from avblocks.data.decode.media import AudioFile, Media
from avblocks.video.mp4 import CLOCK, audio_stream, image_stream
from avblocks.video.overlay import Overlay
from avblocks.video.planes import Planes

_LONG = 0.1  # seconds after which an image is held, at the latest
Ready = tuple[float, list[av.Packet]]
"""Time in seconds, and packets of a file."""


class VideoCopy:
    """Copy of a video that is being written: draws overlays on images, and encodes them."""

    def __init__(
        self,
        container: OutputContainer,
        out: Path,
        media: Media,
        overlays: Iterable[tuple[float, Overlay]],
        audio: Media | AudioFile,
    ) -> None:
        self.container, self.out, self.overlays = container, out, iter(overlays)
        first = next(self.overlays, None)
        if first is None:
            raise ValueError(f"{media.path}: expected at least one overlay, got none")
        self.until, self.overlay = first
        self.size = self.overlay.size
        self.stream = image_stream(container, media, self.size)
        self.audio = audio_stream(container, audio)
        self.period = frame_ticks(media)
        self.tick = -1
        self.image: Planes | None = None

    def show(self, tick: int, image: Planes) -> Iterator[Ready]:
        """Draw on the next image, after the overlays before it are drawn on the last image."""
        yield from self._hold(tick)
        self.image = image
        yield self._draw(tick)

    def finish(self, end: int) -> Iterator[Ready]:
        """Hold the last image to the end, and yield what is left in the encoder."""
        yield from self._hold(end)
        if self.image is not None and end - self.period >= self.tick + self.period / 2:
            yield self._draw(end - self.period)
        rest = self.stream.encode(None)
        if rest:  # by itself, the last frame lasts as long as the average one
            rest[-1].duration = round(
                (max(end, self.tick + 1) - self.tick) / CLOCK / rest[-1].time_base
            )
        yield inf, rest

    def _hold(self, tick: int) -> Iterator[Ready]:
        """Go on to the overlay of a tick, and draw on the last image those that come before it."""
        while tick >= self.until * CLOCK:
            begin = round(self.until * CLOCK)
            self.until, self.overlay = next(self.overlays, (inf, self.overlay))
            if self.tick < begin <= tick - self.period and self.image is not None:
                yield self._draw(begin)

    def _draw(self, tick: int) -> Ready:
        """Draw the overlay on the image and encode both."""
        assert self.image is not None
        frame = av.VideoFrame.from_numpy_buffer(self.overlay.draw(self.image), format="yuv420p")
        frame.pts, frame.time_base, self.tick = tick, Fraction(1, CLOCK), tick
        return tick / CLOCK, self.stream.encode(frame)


def frame_ticks(media: Media) -> int:
    """Return the ticks after which an image is held: a frame's, or fewer of slow videos."""
    return round(min(period(media), _LONG) * CLOCK)
