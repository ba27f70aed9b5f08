"""Decode video frames from an open file. All times are absolute, in seconds."""

from collections import deque
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import islice, takewhile
from math import floor, inf
from operator import attrgetter
from typing import cast

import av
import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from avblocks.data.clip import ClipError
from avblocks.data.decode.geometry import Size, orientation, pixel_aspect, square_size
from avblocks.data.decode.media import MAX_PIXELS, NOT_ENOUGH, Media, reopen_video
from avblocks.data.decode.near import begin_near, not_before
from avblocks.data.decode.packets import (
    SETTLES,
    TIE,
    needs_order,
    packets,
    paletted,
    seek,
    take_only,
    untimed,
    video_frames,
)
from avblocks.data.decode.pixels import RgbImage, to_rgb
from avblocks.data.decode.shown import mark_shown

# Decoders that can skip frames; others, such as dav1d, then give frames the wrong time stamps.
_SKIPPING = frozenset({"h264", "hevc", "mpeg4"})


def decode_frame(media: Media, *, time: float) -> RgbImage:
    """Decode the frame shown at a time; the first or last frame if the time is outside the video.

    Returns:
        RGB image as a player shows it: rotated, mirrored, with square pixels.

    Raises:
        ClipError: If there is no frame.
    """
    if paletted(media):
        with reopen_video(media) as other:
            take_only(other, other.video)
            return _rgb_or_error(_decode_forward(other, time=time, first=True), media)
    take_only(media, media.video)
    counted = needs_order(media)
    frame = None if counted else _decode_planned(media, time=time)
    if frame is None and not media.probed:
        raise ClipError(media.path, NOT_ENOUGH)  # the reorder delay, for example
    # Some containers seek to just after the wanted time, or to the end for a time past it.
    for earlier in (0.0, 10.0, inf):
        if frame is None:
            seek(media, media.video, time - earlier - SETTLES * counted)
            frame = _decode_forward(media, time=time, first=earlier == inf)
    return _rgb_or_error(frame, media)


def decode_frames(media: Media, *, times: Sequence[float]) -> Iterator[RgbImage]:
    """Decode the frames shown at increasing times in one pass, from near the first one on.

    The file must be just opened. Images are equal to those of ``decode_frame``.

    Raises:
        ClipError: If there is no frame.
    """
    wanted, shown, stamp = deque(times), None, 0.0
    for frame in _needed_frames(media, times=times):
        stamp = stamp + period(media) if frame.time is None else frame.time
        while shown is not None and wanted and stamp > wanted[0] + TIE:
            wanted.popleft()
            yield rgb(shown, media)
        if not wanted:
            return
        shown = frame
    if shown is None:
        raise ClipError(media.path, "no video frame can be decoded")
    for _ in wanted:
        yield rgb(shown, media)


def _needed_frames(media: Media, *, times: Sequence[float]) -> Iterator[av.VideoFrame]:
    """Decode frames from before the first time, except those that are not shown at the times.

    Frames that others depend on are decoded too.
    """
    take_only(media, media.video)
    first = begin_near(media, times[0]) if times else -inf
    yield from (frame for frame in _marked_frames(media, times=times) if not_before(frame, first))


def _marked_frames(media: Media, *, times: Sequence[float]) -> Iterator[av.VideoFrame]:
    codec, scale = media.video.codec_context, media.video.time_base
    if codec.name not in _SKIPPING or needs_order(media) or scale is None:
        yield from video_frames(media)
        return
    stamps = [(time + TIE) / scale for time in times]
    for packet, needed in mark_shown(packets(media, media.video), stamps=stamps):
        codec.skip_frame = "DEFAULT" if needed else "NONREF"
        yield from cast(list[av.VideoFrame], packet.decode())


def display_size(frame: av.VideoFrame, media: Media) -> Size:
    """Return height and width of a frame as it is shown: upright, with square pixels.

    Raises:
        ClipError: If these are over ``MAX_PIXELS``.
    """
    size = square_size((frame.height, frame.width), pixel_aspect(media.video))
    if size[0] * size[1] > MAX_PIXELS:
        sides = f"{size[1]}x{size[0]}"
        raise ClipError(media.path, f"shown as {sides}, over the {MAX_PIXELS:,} pixels allowed")
    return orientation(frame).size(size)


def rgb(frame: av.VideoFrame, media: Media, size: Size | None = None) -> RgbImage:
    """Convert a frame to an RGB image as it is shown, resized to ``size`` if given."""
    turn = orientation(frame)
    return turn.apply(to_rgb(frame, turn.size(size or display_size(frame, media))))


def _rgb_or_error(frame: av.VideoFrame | None, media: Media) -> RgbImage:
    if frame is None:
        raise ClipError(media.path, "no video frame can be decoded")
    return rgb(frame, media)


def to_tensor(image: UInt8[np.ndarray, "height width c"]) -> UInt8[Tensor, "c height width"]:
    """Copy an image to a tensor with channels first."""
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))


def stack_frames(
    path: str, images: Sequence[UInt8[Tensor, "3 _ _"]]
) -> UInt8[Tensor, "3 *t height width"]:
    """Return a single frame as it is, or stack several of one size.

    Raises:
        ClipError: If sizes differ: that of a recorded call, for example, changes with the network.
    """
    sizes = sorted({(image.shape[2], image.shape[1]) for image in images})
    if len(sizes) > 1:
        names = " and ".join(f"{width}x{height}" for width, height in sizes)
        raise ClipError(path, f"the size of its frames changes, between {names}: read one frame")
    return images[0] if len(images) == 1 else torch.stack(list(images), dim=1)


def _decode_planned(media: Media, *, time: float) -> av.VideoFrame | None:
    """Decode the frame shown at a time from as few packets as possible.

    Frames that no other frame depends on are skipped, and later packets are not sent. Returns None
    if the time stamps of the packets do not identify the frame.
    """
    seek(media, media.video, time)
    wanted, count = _plan(media, time=time)
    if wanted is None:
        return None
    seek(media, media.video, time)
    codec, frame = media.video.codec_context, None
    others = "NONREF" if codec.name in _SKIPPING else "DEFAULT"
    # Files without an index get one while they are read, so the second seek may end closer.
    for packet in takewhile(attrgetter("size"), islice(packets(media, media.video), count)):
        codec.skip_frame = "DEFAULT" if packet.pts == wanted else others
        frame = _last(packet.decode(), wanted) or frame
    return _last(codec.decode(None), wanted) or frame


def _plan(media: Media, *, time: float) -> tuple[int | None, int]:
    """Find the time stamp of the frame shown at a time, and the number of packets up to it."""
    # Times as whole ticks: comparing fractions with floats takes longer than reading the packets.
    scale = media.video.time_base
    until = floor(Fraction(time + TIE) / scale) if scale else inf
    wanted, count = None, 0
    for number, packet in enumerate(packets(media, media.video), start=1):
        if not packet.size and packet.dts is None:  # the end
            break
        if packet.pts is None or packet.dts is None or packet.dts > packet.pts:
            return None, 0
        if packet.pts <= until and (wanted is None or packet.pts >= wanted):
            wanted, count = packet.pts, number
        if packet.dts > until:  # all later packets are shown later
            break
    return wanted, count


def _last(frames: list[av.VideoFrame], stamp: int) -> av.VideoFrame | None:
    """Return the last frame with a time stamp."""
    return next((frame for frame in reversed(frames) if frame.pts == stamp), None)


def _decode_forward(media: Media, *, time: float, first: bool) -> av.VideoFrame | None:
    """Decode to the last frame that starts by a time; with ``first``, else the first frame."""
    shown, stamp = None, 0.0
    media.video.codec_context.skip_frame = "DEFAULT"
    for frame in video_frames(media):
        stamp = stamp + period(media) if frame.time is None else frame.time
        if stamp > time + TIE:
            return frame if shown is None and first else shown
        shown = frame
    return shown


def period(media: Media) -> float:
    """Return the approximate seconds from one frame to the next."""
    # In avi the average counts all slots, of which many may be empty.
    rate = media.video.guessed_rate if untimed(media) else media.video.average_rate
    return float(1 / rate) if rate else 0.04
