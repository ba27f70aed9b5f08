"""Videos with an overlay on each frame, written while they are read."""

from collections.abc import Iterable
from fractions import Fraction
from math import inf
from pathlib import Path

import av
from av.container import OutputContainer

from avblocks.data import ClipError
from avblocks.data.decode.frames import period, rgb, shown_size
from avblocks.data.decode.media import Media, open_media
from avblocks.data.decode.packets import packets, pictures
from avblocks.files import replacing
from avblocks.shapes import require
from avblocks.video.mp4 import CLOCK, audio_stream, encode_audio, image_stream, write_packets
from avblocks.video.overlay import Overlay, Size
from avblocks.video.windows import start_time

_SHORT_SIDE = 480  # pixels, at most


def video_size(path: str | Path) -> Size:
    """Return the height and width at which a video is drawn, in pixels.

    It is upright, with square pixels and even sides, the short one at most 480.

    Raises:
        ClipError: If the video cannot be decoded.
    """
    with open_media(str(path)) as media:
        frame = next(pictures(media), None)
        sides = None if frame is None else shown_size(frame, media)
    if sides is None:
        raise ClipError(str(path), "no video frame can be decoded")
    scale = min(1.0, _SHORT_SIDE / min(sides))
    height, width = (max(2 * round(side * scale / 2), 2) for side in sides)
    return height, width


def write_overlay(
    path: str | Path, out: str | Path, overlays: Iterable[tuple[float, Overlay]]
) -> None:
    """Write a copy of a video as mp4 (H.264, AAC) with overlays on its frames, whole or not at all.

    Frames keep their times and the audio is kept. One frame and one overlay are in memory. Each
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
    ):
        start = start_time(media)
        images = _ImageEncoder(container, media, overlays)
        audio = audio_stream(container, media)
        for packet in packets(media, media.video, media.audio):
            for frame in packet.decode():
                if isinstance(frame, av.VideoFrame):
                    write_packets(container, images.encode(frame, start=start), out)
                elif isinstance(frame, av.AudioFrame):
                    encoded = encode_audio(audio, frame, start=start, path=path)
                    write_packets(container, encoded, out)
        for stream in (images.stream, audio):
            write_packets(container, stream.encode(None), out)


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
        self.stream, self.period = image_stream(container, media, self.size), period(media)
        self.tick = -1

    def encode(self, frame: av.VideoFrame, *, start: float) -> list[av.Packet]:
        """Return the packets that are ready; a frame out of order is dropped."""
        after = self.tick + round(self.period * CLOCK)
        tick = after if frame.time is None else round((frame.time - start) * CLOCK)
        if tick <= self.tick:
            return []
        self.tick = tick
        while tick >= self.until * CLOCK:
            self.until, self.overlay = next(self.overlays, (inf, self.overlay))
        image = self.overlay.draw(rgb(frame, self.media, self.size))
        result = av.VideoFrame.from_ndarray(image, format="rgb24")
        result.pts, result.time_base = tick, Fraction(1, CLOCK)
        return self.stream.encode(result)
