"""Moving in an open file, whose times are absolute, in seconds."""

from collections.abc import Iterator
from fractions import Fraction
from typing import cast

import av
from av.audio.stream import AudioStream
from av.stream import Discard
from av.video.stream import VideoStream

from avblocks.data.decode.media import Media, Sound
from avblocks.data.decode.order import in_order, needs_order

TIE = 1e-6
"""Seconds by which times may differ that are the same."""


def take_only(media: Media | Sound, wanted: AudioStream | VideoStream) -> None:
    """Leave out the packets of all other streams: most containers then do not even read them."""
    for stream in media.container.streams:
        stream.discard = Discard.default if stream.index == wanted.index else Discard.all


def seek(media: Media | Sound, stream: AudioStream | VideoStream, time: float) -> None:
    """Go to the last key frame before a time, or to the beginning of the stream."""
    scale, first = stream.time_base or Fraction(1, av.time_base), stream.start_time or 0
    media.container.seek(first if time <= first * scale else int(time / scale), stream=stream)


def packets(media: Media | Sound, *streams: AudioStream | VideoStream) -> Iterator[av.Packet]:
    """Give the packets of streams, as they come in the file.

    PyAV's own generators, left before their end, free what they hold only if they are closed: 0.4
    kB a read, which grow without end. ``yield from`` closes them, which a loop, and a container's
    ``decode``, do not.
    """
    yield from media.container.demux(*streams)


def pictures(media: Media) -> Iterator[av.VideoFrame]:
    """Decode the pictures from where the file stands, in the order in which they are shown."""
    if needs_order(media):
        yield from in_order(packets(media, media.video), media)
        return
    for packet in packets(media, media.video):
        yield from cast(list[av.VideoFrame], packet.decode())


def sounds(media: Media | Sound) -> Iterator[av.AudioFrame]:
    """Decode the pieces of sound from where the file stands."""
    for packet in packets(media, media.audio):
        yield from cast(list[av.AudioFrame], packet.decode())


def lasting(frame: av.AudioFrame | av.VideoFrame) -> float:
    """Seconds that a decoded piece lasts by the file's own account; 0 if it does not say."""
    return float(frame.duration * (frame.time_base or 0))
