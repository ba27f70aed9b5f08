"""Frame times in avi, which stores no time stamps, only the decoding order.

FFmpeg makes time stamps up. For H.264 and HEVC they count frames in decoding order, one frame late;
for other codecs they are in display order, but late where there are B-frames.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import cast

import av

from avblocks.data.decode.media import AudioFile, Media

_UNORDERED = frozenset({"h264", "hevc"})
# Frames that may be shown before one that was decoded earlier: consecutive B-frames.
_MOST, _USUAL = 16, 4
SETTLES = 4.0
"""Seconds after a seek within which dropped frames are detected, at 5 frames per second or more."""


def untimed(media: Media | AudioFile) -> bool:
    """Return whether the file stores no time stamps."""
    return media.container.format.name == "avi"


def needs_order(media: Media) -> bool:
    """Return whether FFmpeg's made-up times are wrong: display and decoding order differ."""
    if not untimed(media):
        return False
    codec = media.video.codec_context
    return codec.name in _UNORDERED or bool(codec.has_b_frames)


def in_order(packets: Iterable[av.Packet], media: Media) -> Iterator[av.VideoFrame]:
    """Decode frames in display order, and assign them the decoding times in increasing order.

    Packets are numbered, so that the decoder returns the numbers in display order. After a seek,
    the decoder drops frames that are shown before the key frame but depend on earlier ones.
    """
    most = _MOST if media.video.codec_context.name in _UNORDERED else _USUAL
    times, waiting, number, overtaken = deque[int](), dict[int, None](), 0, 0
    for packet in packets:
        if packet.size:
            times.append(packet.dts or 0)
            waiting[number], packet.pts, number = None, number, number + 1
        for frame in cast(list[av.VideoFrame], packet.decode()):
            current = frame.pts or 0
            waiting.pop(current, None)
            first = next(iter(waiting), current)
            overtaken = overtaken + 1 if first < current else 0
            frame.pts, frame.time_base = times.popleft(), media.video.time_base
            yield frame
            if overtaken > most:  # the decoder dropped it, so its time is dropped too
                del waiting[first]
                times.popleft()
                overtaken = 0
