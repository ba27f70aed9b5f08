"""Times of pictures in avi, which stores none: only in which order they are to be decoded.

FFmpeg makes some up. For H.264 and HEVC they count in the order of decoding, one late; for others
they are in the order of showing, but late where there are B-frames.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import cast

import av

from avblocks.data.decode.media import Media

_UNORDERED = frozenset({"h264", "hevc"})
# Pictures that may be shown before one that was decoded earlier: B-frames in a row.
_MOST, _USUAL = 16, 4
SETTLES = 4.0
"""Seconds after a seek by which lost pictures have been noticed, from 5 pictures a second on."""


def untimed(media: Media) -> bool:
    """Whether the times that packets of pictures have are made up."""
    return media.container.format.name == "avi"


def needs_order(media: Media) -> bool:
    """Whether made-up times are wrong, as they are unless pictures are shown as they come."""
    if not untimed(media):
        return False
    codec = media.video.codec_context
    return codec.name in _UNORDERED or bool(codec.has_b_frames)


def in_order(packets: Iterable[av.Packet], media: Media) -> Iterator[av.VideoFrame]:
    """Decode pictures, and give the first one shown the first time of decoding, and so on.

    The decoder knows the order of showing, by the numbers that packets get here. It leaves out some
    pictures after a seek to one that others need which are shown before it.
    """
    most = _MOST if media.video.codec_context.name in _UNORDERED else _USUAL
    times, waiting, number, overtaken = deque[int](), dict[int, None](), 0, 0
    for packet in packets:
        if packet.size:
            times.append(packet.dts or 0)
            waiting[number], packet.pts, number = None, number, number + 1
        for frame in cast(list[av.VideoFrame], packet.decode()):
            shown = frame.pts or 0
            waiting.pop(shown, None)
            first = next(iter(waiting), shown)
            overtaken = overtaken + 1 if first < shown else 0
            frame.pts, frame.time_base = times.popleft(), media.video.time_base
            yield frame
            if overtaken > most:  # it was left out, and so is its time
                del waiting[first]
                times.popleft()
                overtaken = 0
