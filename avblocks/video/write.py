"""Videos with an overlay on each frame, written while they are read."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from heapq import merge
from itertools import islice
from math import inf
from pathlib import Path

import av
from av.container import OutputContainer

from avblocks.data import ClipError
from avblocks.data.decode.audio import extent
from avblocks.data.decode.frames import display_size
from avblocks.data.decode.media import AudioFile, Media, open_audio, open_media
from avblocks.data.decode.near import begin_near, not_before
from avblocks.data.decode.packets import lasting, take_only, video_frames
from avblocks.files import replacing
from avblocks.shapes import require
from avblocks.video.copies import VideoCopy, frame_ticks
from avblocks.video.mp4 import CLOCK, encode_audio, write_packets
from avblocks.video.overlay import Overlay, Size
from avblocks.video.planes import Planes, to_planes
from avblocks.video.windows import start_time

_SHORT_SIDE = 480  # pixels, at most
_SMALLEST = 4  # pixels: FFmpeg converts no image of two rows to yuv420p
_TOGETHER = 8  # frames that are handed over at once: one at a time takes a sixth more CPU time
_Ready = tuple[float, VideoCopy, list[av.Packet]]  # time in seconds, and packets of a copy


def video_size(path: str | Path) -> Size:
    """Return the height and width at which a video is drawn, in pixels.

    The size is that of an upright image with square pixels and even sides, of which the short one
    is at most 480.

    Raises:
        ClipError: If the video cannot be decoded.
    """
    with open_media(str(path)) as media:
        frame = next(video_frames(media), None)
        sides = None if frame is None else display_size(frame, media)
    if sides is None:
        raise ClipError(str(path), "no video frame can be decoded")
    scale = min(1.0, _SHORT_SIDE / min(sides))
    height, width = (max(2 * round(side * scale / 2), _SMALLEST) for side in sides)
    return height, width


def write_overlay(
    path: str | Path, out: str | Path, overlays: Iterable[tuple[float, Overlay]]
) -> None:
    """Write a copy of a video with overlays on its frames, see `write_overlays`."""
    write_overlays(path, {Path(out): overlays})


def write_overlays(
    path: str | Path,
    overlays: Mapping[Path, Iterable[tuple[float, Overlay]]],
    *,
    part: tuple[float, float] | None = None,
    audio: tuple[str | Path, float] | None = None,
) -> None:
    """Write copies of a video as mp4 (H.264, AAC) with overlays on its frames, each by its file.

    The video is decoded once, with one frame and one overlay per file in memory. Each file is
    written completely or not at all. Frames keep their times, and the audio is kept. A frame that
    is shown while overlays change is repeated, such as the last one until the audio ends.

    Args:
        path: The video.
        overlays: For each output file, overlays of one size, such as `video_size`, each with the
            time until which it is drawn, in seconds as a player shows them; the last one stays to
            the end.
        part: Start and end of the part to copy, in the same seconds; the whole video if not given.
        audio: A wav or flac file that replaces the audio, and the time at which it starts, in the
            same seconds.

    Raises:
        ClipError: If the video cannot be decoded.
        OSError: If a copy cannot be written.
        ValueError: If there is no overlay for a file, or sizes differ.
    """
    path = str(path)
    with ExitStack() as stack:
        containers = [stack.enter_context(_new_file(out)) for out in overlays]
        begin, end = part or (0.0, inf)
        media = stack.enter_context(open_media(path))
        start = start_time(media) + begin
        if audio is None:  # opened twice, as images and audio are decoded at paces of their own
            source, offset = stack.enter_context(open_media(path)), start
        else:
            source, offset = stack.enter_context(open_audio(str(audio[0]))), begin - audio[1]
        copies = [
            VideoCopy(container, out, media, ((until - begin, one) for until, one in some), source)
            for container, (out, some) in zip(containers, overlays.items(), strict=True)
        ]
        sizes = {copy.size for copy in copies}
        require(len(sizes) == 1, "size", sizes, "one size for all overlays")
        sources = (
            _images(media, copies, start=start, seconds=end - begin),
            _audio(source, copies, start=offset, seconds=end - begin),
        )
        for _, copy, packets in merge(*sources, key=lambda each: each[0]):
            write_packets(copy.container, packets, copy.out)


@contextmanager
def _new_file(out: Path) -> Iterator[OutputContainer]:
    """Open an mp4 file for writing, whole or not at all."""
    with (
        replacing(out, durable=False) as temporary,
        av.open(str(temporary), "w", format="mp4") as container,
    ):
        yield container


def _images(
    media: Media, copies: Sequence[VideoCopy], *, start: float, seconds: float
) -> Iterator[_Ready]:
    """Decode the frames, and draw on them; times count from ``start``, in seconds."""
    take_only(media, media.video)
    end, waiting = 0.0, list[Future[list[_Ready]]]()
    images = (
        (tick, to_planes(frame, media, copies[0].size), tick + lasting(frame) * CLOCK)
        for tick, frame in _frames(media, start=start, seconds=seconds)
    )
    with ThreadPoolExecutor(len(copies)) as pool:  # draws and encodes while the next are decoded
        while some := list(islice(images, _TOGETHER)):
            end = some[-1][2]
            yield from _results(waiting)
            waiting = [pool.submit(_shown, copy, some) for copy in copies]
        yield from _results(waiting)
    end = round(min(max(end, (extent(media)[1] - start) * CLOCK), seconds * CLOCK))
    for copy in copies:
        yield from ((time, copy, packets) for time, packets in copy.finish(end))


def _shown(copy: VideoCopy, images: Sequence[tuple[int, Planes, float]]) -> list[_Ready]:
    return [
        (time, copy, packets)
        for tick, image, _ in images
        for time, packets in copy.show(tick, image)
    ]


def _results(waiting: Sequence[Future[list[_Ready]]]) -> Iterator[_Ready]:
    for future in waiting:
        yield from future.result()


def _frames(media: Media, *, start: float, seconds: float) -> Iterator[tuple[int, av.VideoFrame]]:
    """Yield ticks from ``start`` and frames, first the one that is shown there.

    A frame out of order is dropped.
    """
    last, before = -1, None
    key = begin_near(media, start)
    for frame in video_frames(media):
        if not not_before(frame, key):
            continue
        time = None if frame.time is None else frame.time - start
        tick = last + frame_ticks(media) if time is None else round(time * CLOCK)
        if tick >= seconds * CLOCK:
            break
        if tick < 0:
            before = frame
        elif tick > last:
            if before is not None and tick > 0:
                yield 0, before
            before, last = None, tick
            yield tick, frame
    if before is not None:
        yield 0, before


def _audio(
    media: Media | AudioFile, copies: Sequence[VideoCopy], *, start: float, seconds: float
) -> Iterator[_Ready]:
    """Decode and encode the audio, which is the same in all copies."""
    for time, packets in encode_audio(copies[0].audio, media, start=start, seconds=seconds):
        for copy in copies:
            for packet in packets:
                packet.stream = copy.audio
            yield time, copy, packets
