"""Moving in an open file, whose times are absolute, in seconds."""

from fractions import Fraction

import av
from av.audio.stream import AudioStream
from av.stream import Discard
from av.video.stream import VideoStream

from avblocks.data._media import Media, Sound

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
