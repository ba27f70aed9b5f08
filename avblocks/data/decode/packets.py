"""Seek in an open file and iterate over its packets and frames. Times are absolute, in seconds."""

from collections.abc import Iterator
from fractions import Fraction
from typing import cast

import av
from av.audio.stream import AudioStream
from av.stream import Discard
from av.video.stream import VideoStream

from avblocks.data.decode.media import AudioFile, Media
from avblocks.data.decode.order import in_order, needs_order

TIE = 1e-6
"""Seconds by which equal times may differ."""


def take_only(media: Media | AudioFile, wanted: AudioStream | VideoStream) -> None:
    """Discard the packets of all other streams; most containers then skip them on disk."""
    for stream in media.container.streams:
        stream.discard = Discard.default if stream.index == wanted.index else Discard.all


def seek(media: Media | AudioFile, stream: AudioStream | VideoStream, time: float) -> None:
    """Seek to the last key frame before a time, or to the beginning of the stream."""
    scale, first = stream.time_base or Fraction(1, av.time_base), stream.start_time or 0
    media.container.seek(first if time <= first * scale else int(time / scale), stream=stream)


def packets(media: Media | AudioFile, *streams: AudioStream | VideoStream) -> Iterator[av.Packet]:
    """Yield the packets of streams in file order.

    A PyAV generator that is not exhausted leaks 0.4 kB per read unless it is closed. ``yield from``
    closes it; a loop and a container's ``decode`` do not.
    """
    yield from media.container.demux(*streams)


def video_frames(media: Media) -> Iterator[av.VideoFrame]:
    """Decode video frames from the current position, in display order."""
    if needs_order(media):
        yield from in_order(packets(media, media.video), media)
        return
    for packet in packets(media, media.video):
        yield from cast(list[av.VideoFrame], packet.decode())


def audio_frames(media: Media | AudioFile) -> Iterator[av.AudioFrame]:
    """Decode audio frames from the current position."""
    for packet in packets(media, media.audio):
        yield from cast(list[av.AudioFrame], packet.decode())


def lasting(frame: av.AudioFrame | av.VideoFrame) -> float:
    """Return the duration of a frame in seconds according to the file; 0 if not stored."""
    return float(frame.duration * (frame.time_base or 0))
