"""Videos with something drawn over each picture, frame by frame."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from jaxtyping import UInt8

from avblocks.data import ClipError
from avblocks.data.decode.frames import period
from avblocks.data.decode.media import Media, open_media
from avblocks.data.decode.packets import packets, pictures
from avblocks.files import replacing
from avblocks.video.layer import Layer, Size
from avblocks.video.mp4 import CLOCK, encoded, picture_stream, put, sound_stream

_SHORT = 480  # pixels, the short side at most


def shown_size(path: str) -> Size:
    """Height and width that a video is drawn at: its own, turned and even, up to 480 pixels.

    Raises:
        ClipError: If it has no picture.
    """
    with open_media(path) as media:
        frame = next(pictures(media), None)
    if frame is None:
        raise ClipError(path, "no video frame can be decoded")
    sides = _turned((frame.height, frame.width), frame.rotation)
    scale = min(1.0, _SHORT / min(sides))
    height, width = (max(2 * round(side * scale / 2), 2) for side in sides)
    return height, width


def draw_over(
    path: str, out: Path, *, layers: Iterator[tuple[float, Layer]], size: Size, zero: float
) -> None:
    """Write a video anew as mp4: layers over its pictures, at its own times, with its sound.

    Args:
        path: The video.
        out: Where to.
        layers: Each with the time up to which it is drawn, seconds after ``zero``; that of the last
            one is infinite.
        size: Height and width to draw at, even.
        zero: What becomes time 0, seconds by the video's own clock.

    Raises:
        ClipError: If the video cannot be decoded.
        OSError: If the new one cannot be written.
    """
    with (
        replacing(out, durable=False) as half,
        av.open(str(half), "w", format="mp4") as container,
        open_media(path) as media,
    ):
        drawing = _Pictures(picture_stream(container, media, size), media, layers)
        sound = sound_stream(container, media)
        for packet in packets(media, media.video, media.audio):
            for frame in packet.decode():
                if isinstance(frame, av.VideoFrame):
                    put(container, drawing.encode(frame, zero=zero), out)
                elif isinstance(frame, av.AudioFrame):
                    put(container, encoded(sound, frame, zero=zero, path=path), out)
        for stream in (drawing.stream, sound):
            put(container, stream.encode(None), out)


class _Pictures:
    """Draws over pictures as they pass, and encodes them."""

    def __init__(
        self, stream: VideoStream, media: Media, layers: Iterator[tuple[float, Layer]]
    ) -> None:
        self.stream, self.layers, self.period = stream, layers, period(media)
        self.until, self.layer = next(layers)
        self.tick = -1

    def encode(self, frame: av.VideoFrame, *, zero: float) -> list[av.Packet]:
        """Give what there is of the video so far; a picture out of its turn is left out."""
        after = self.tick + round(self.period * CLOCK)
        tick = after if frame.time is None else round((frame.time - zero) * CLOCK)
        if tick <= self.tick:
            return []
        self.tick = tick
        while tick >= self.until * CLOCK:
            self.until, self.layer = next(self.layers)
        size = self.stream.height, self.stream.width
        drawn = av.VideoFrame.from_ndarray(self.layer.over(_rgb(frame, size)), format="rgb24")
        drawn.pts, drawn.time_base = tick, Fraction(1, CLOCK)
        return self.stream.encode(drawn)


def _rgb(frame: av.VideoFrame, size: Size) -> UInt8[np.ndarray, "height width 3"]:
    """Resize a picture, and turn it by quarters of a circle as the file says."""
    height, width = _turned(size, frame.rotation)
    small = VideoReformatter().reformat(frame, width, height, "rgb24", threads=1)
    return np.rot90(small.to_ndarray(), round(frame.rotation / 90))


def _turned(size: Size, rotation: int) -> Size:
    return (size[1], size[0]) if round(rotation / 90) % 2 else size
