"""From an open file to pictures. All times are absolute, in seconds."""

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice
from math import inf

import av
import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from avblocks.data.clip import ClipError
from avblocks.data.decode.geometry import Size, orientation, pixel_aspect, square_size
from avblocks.data.decode.media import MAX_PIXELS, NOT_ENOUGH, Media
from avblocks.data.decode.order import SETTLES, needs_order, untimed
from avblocks.data.decode.packets import TIE, packets, pictures, seek, take_only
from avblocks.data.decode.pixels import Picture, to_rgb

# Decoders that may leave out some frames; dav1d, for one, then gives others the wrong stamps.
_SKIPPING = frozenset({"h264", "hevc", "mpeg4"})


def decode_frame(media: Media, *, time: float) -> Picture:
    """Decode the picture that is shown at a time; the first or last one outside the video.

    Returns:
        RGB as a player shows it: turned, mirrored, with square pixels.

    Raises:
        ClipError: If there is no picture.
    """
    take_only(media, media.video)
    counted = needs_order(media)
    frame = None if counted else _picked(media, time=time)
    if frame is None and not media.probed:
        raise ClipError(media.path, NOT_ENOUGH)  # how many frames to hold back, for one
    # Some containers seek to just after the wanted time, or to the end for a time past it.
    for earlier in (0.0, 10.0, inf):
        if frame is None:
            seek(media, media.video, time - earlier - SETTLES * counted)
            frame = _shown(media, time=time, first=earlier == inf)
    if frame is None:
        raise ClipError(media.path, "no video frame can be decoded")
    return rgb(frame, media)


def decode_frames(media: Media, *, times: Sequence[float]) -> Iterator[Picture]:
    """Decode the pictures shown at rising times in one pass, where ``decode_frame`` seeks for each.

    The file must be just opened. Pictures are as in ``decode_frame``.

    Raises:
        ClipError: If there is no picture.
    """
    wanted, shown, stamp = deque(times), None, 0.0
    for frame in pictures(media):
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


def shown_size(frame: av.VideoFrame, media: Media) -> Size:
    """Return height and width of a picture as it is shown: upright, with square pixels.

    Raises:
        ClipError: If that is more than a frame may have.
    """
    size = square_size((frame.height, frame.width), pixel_aspect(media.video))
    if size[0] * size[1] > MAX_PIXELS:
        sides = f"{size[1]}x{size[0]}"
        raise ClipError(media.path, f"shown as {sides}, over the {MAX_PIXELS:,} pixels allowed")
    return orientation(frame).size(size)


def rgb(frame: av.VideoFrame, media: Media, size: Size | None = None) -> Picture:
    """Convert a picture to RGB as it is shown, of another height and width if given."""
    turn = orientation(frame)
    return turn.apply(to_rgb(frame, turn.size(size or shown_size(frame, media))))


def to_tensor(picture: Picture) -> UInt8[Tensor, "3 height width"]:
    """Copy a picture to a tensor with channels first."""
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))


def _picked(media: Media, *, time: float) -> av.VideoFrame | None:
    """Decode no more than it takes to see the picture shown at a time, if the packets tell which.

    Frames on which no other depends are left out, and what comes later is not even sent.
    """
    seek(media, media.video, time)
    wanted, count = _plan(media, time=time)
    if wanted is None:
        return None
    seek(media, media.video, time)
    codec, found = media.video.codec_context, None
    others = "NONREF" if codec.name in _SKIPPING else "DEFAULT"
    for packet in islice(packets(media, media.video), count):
        codec.skip_frame = "DEFAULT" if packet.pts == wanted else others
        found = _last(packet.decode(), wanted) or found
    return _last(codec.decode(None), wanted) or found


def _plan(media: Media, *, time: float) -> tuple[int | None, int]:
    """Find the stamp of the picture shown at a time, and how many packets up to it there are."""
    wanted, count, scale = None, 0, media.video.time_base or 0
    for number, packet in enumerate(packets(media, media.video), start=1):
        if not packet.size and packet.dts is None:  # the end
            break
        if packet.pts is None or packet.dts is None or packet.dts > packet.pts:
            return None, 0
        if packet.pts * scale <= time + TIE and (wanted is None or packet.pts >= wanted):
            wanted, count = packet.pts, number
        if packet.dts * scale > time + TIE:  # so all that follow are shown later
            break
    return wanted, count


def _last(frames: list[av.VideoFrame], stamp: int) -> av.VideoFrame | None:
    """The last picture of a stamp."""
    return next((frame for frame in reversed(frames) if frame.pts == stamp), None)


def _shown(media: Media, *, time: float, first: bool) -> av.VideoFrame | None:
    """Decode forward to the last picture that starts by a time, or, on demand, to the first one."""
    shown, stamp = None, 0.0
    media.video.codec_context.skip_frame = "DEFAULT"
    for frame in pictures(media):
        stamp = stamp + period(media) if frame.time is None else frame.time
        if stamp > time + TIE:
            return frame if shown is None and first else shown
        shown = frame
    return shown


def period(media: Media) -> float:
    """Seconds from one frame to the next, about."""
    # The average is of all slots of an avi file, of which few may hold a picture.
    rate = media.video.guessed_rate if untimed(media) else media.video.average_rate
    return float(1 / rate) if rate else 0.04
