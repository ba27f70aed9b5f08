"""Videos with an overlay on each frame, written while they are read."""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from heapq import merge
from math import inf
from pathlib import Path

import av
from av.container import OutputContainer

from avblocks.data import ClipError
from avblocks.data.decode.audio import extent
from avblocks.data.decode.frames import display_size, period, rgb
from avblocks.data.decode.media import Media, open_media
from avblocks.data.decode.packets import lasting, take_only, video_frames
from avblocks.data.decode.pixels import RgbImage
from avblocks.files import replacing
from avblocks.shapes import require
from avblocks.video.mp4 import CLOCK, audio_stream, encode_audio, image_stream, write_packets
from avblocks.video.overlay import Overlay, Size
from avblocks.video.windows import start_time

_SHORT_SIDE = 480  # pixels, at most
_LONG = 0.1  # seconds after which an image is held, at the latest


def video_size(path: str | Path) -> Size:
    """Return the height and width at which a video is drawn, in pixels.

    It is upright, with square pixels and even sides, the short one at most 480.

    Raises:
        ClipError: If the video cannot be decoded.
    """
    with open_media(str(path)) as media:
        frame = next(video_frames(media), None)
        sides = None if frame is None else display_size(frame, media)
    if sides is None:
        raise ClipError(str(path), "no video frame can be decoded")
    scale = min(1.0, _SHORT_SIDE / min(sides))
    height, width = (max(2 * round(side * scale / 2), 2) for side in sides)
    return height, width


def write_overlay(
    path: str | Path, out: str | Path, overlays: Iterable[tuple[float, Overlay]]
) -> None:
    """Write a copy of a video as mp4 (H.264, AAC) with overlays on its frames, whole or not at all.

    Frames keep their times, and the audio is kept. A frame that is held while overlays change, as
    the last one is until the audio ends, is repeated. One frame and one overlay are in memory. Each
    overlay comes with the time up to which it is drawn, in seconds as a player shows them; the last
    one stays to the end. All are of one size, with even sides, such as `video_size`.

    Raises:
        ClipError: If the video cannot be decoded.
        OSError: If the copy cannot be written.
        ValueError: If there is no overlay, or a side is odd.
    """
    path, out = str(path), Path(out)
    with (
        replacing(out, durable=False) as temporary,
        av.open(str(temporary), "w", format="mp4") as container,
        open_media(path) as media,
        open_media(path) as heard,  # each stream is decoded at its own pace
    ):
        start = start_time(media)
        images = _ImageEncoder(container, media, overlays)
        audio = audio_stream(container, media)
        encoded = (images.encode(start=start), encode_audio(audio, heard, start=start))
        for _, ready in merge(*encoded, key=lambda each: each[0]):
            write_packets(container, ready, out)


class _ImageEncoder:
    """Draws overlays on frames, and encodes them."""

    def __init__(
        self, container: OutputContainer, media: Media, overlays: Iterable[tuple[float, Overlay]]
    ) -> None:
        self.media, self.overlays = media, iter(overlays)
        first = next(self.overlays, None)
        if first is None:
            raise ValueError(f"{media.path}: expected at least one overlay, got none")
        self.until, self.overlay = first
        self.size = self.overlay.size
        require(not any(side % 2 for side in self.size), "size", self.size, "even sides for H.264")
        self.stream = image_stream(container, media, self.size)
        self.period = round(min(period(media), _LONG) * CLOCK)
        self.tick = -1
        self.image: RgbImage | None = None

    def encode(self, *, start: float) -> Iterator[tuple[float, list[av.Packet]]]:
        """Decode all frames and yield times and packets; a frame out of order is dropped.

        Times count from ``start``, in seconds.
        """
        take_only(self.media, self.media.video)
        end = 0.0
        for frame in video_frames(self.media):
            time = None if frame.time is None else frame.time - start
            tick = self.tick + self.period if time is None else round(time * CLOCK)
            if tick <= self.tick:
                continue
            yield from self._hold(tick)
            self.image, end = rgb(frame, self.media, self.size), tick + lasting(frame) * CLOCK
            yield self._draw(tick)
        end = round(max(end, (extent(self.media)[1] - start) * CLOCK))
        yield from self._hold(end)
        if self.image is not None and end - self.period >= self.tick + self.period / 2:
            yield self._draw(end - self.period)
        rest = self.stream.encode(None)
        if rest:  # by itself, the last frame lasts as long as the average one
            rest[-1].duration = round(
                (max(end, self.tick + 1) - self.tick) / CLOCK / rest[-1].time_base
            )
        yield inf, rest

    def _hold(self, tick: int) -> Iterator[tuple[float, list[av.Packet]]]:
        """Go on to the overlay of a tick, and draw on the last image those that come before it."""
        while tick >= self.until * CLOCK:
            begin = round(self.until * CLOCK)
            self.until, self.overlay = next(self.overlays, (inf, self.overlay))
            if self.tick < begin <= tick - self.period and self.image is not None:
                yield self._draw(begin)

    def _draw(self, tick: int) -> tuple[float, list[av.Packet]]:
        """Draw the overlay on the image and encode both."""
        assert self.image is not None
        frame = av.VideoFrame.from_ndarray(self.overlay.draw(self.image), format="rgb24")
        frame.pts, frame.time_base, self.tick = tick, Fraction(1, CLOCK), tick
        return tick / CLOCK, self.stream.encode(frame)
