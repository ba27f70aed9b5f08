"""Seek in an open file and iterate over its packets and frames. Times are absolute, in seconds.

Avi stores no time stamps, only the decoding order, and FFmpeg makes time stamps up. For H.264 and
HEVC they count frames in decoding order, one frame late; for other codecs they are in display
order, but late where there are B-frames.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import cast

import av
from av.audio.stream import AudioStream
from av.stream import Discard
from av.video.stream import VideoStream

from avblocks.data.decode.media import AudioFile, Media

TIE = 1e-6
"""Seconds by which equal times may differ."""
_UNORDERED = frozenset({"h264", "hevc"})
_UNCOUNTED = frozenset({"flac"})
# Frames that may be shown before one that was decoded earlier: consecutive B-frames.
_MOST, _USUAL = 16, 4
SETTLES = 4.0
"""Seconds after a seek within which dropped frames are detected, at 5 frames per second or more."""


def take_only(media: Media | AudioFile, wanted: AudioStream | VideoStream) -> None:
    """Discard the packets of all other streams; most containers then skip them on disk."""
    for stream in media.container.streams:
        stream.discard = Discard.default if stream.index == wanted.index else Discard.all


def seek(media: Media | AudioFile, stream: AudioStream | VideoStream, time: float) -> None:
    """Seek to the last key frame before a time, or to the beginning of the stream."""
    scale, first = stream.time_base or Fraction(1, av.time_base), stream.start_time or 0
    seek_stamp(media, first if time <= first * scale else int(time / scale), stream)


def seek_stamp(
    media: Media | AudioFile, stamp: int, stream: AudioStream | VideoStream | None = None
) -> None:
    """Seek to the last key frame before a time stamp, or to the first one after it."""
    try:
        media.container.seek(stamp, stream=stream)
    except PermissionError:  # matroska, if there is none before the time stamp
        media.container.seek(stamp, stream=stream, backward=False)


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


def made_up(media: Media | AudioFile, stream: AudioStream | VideoStream) -> bool:
    """Return whether the start and the duration of a stream are those of the whole file.

    Matroska stores no durations of streams. FFmpeg copies the file's to a stream that has no packet
    within its analysis, such as audio that begins more than 5 seconds after the images.
    """
    return media.container.format.name.startswith("matroska") and stream.duration is not None


def overstated(media: Media | AudioFile, stream: AudioStream | VideoStream) -> bool:
    """Return whether a stream's packets end before its duration.

    In mov and mp4, the duration includes the time before a stream that begins later, by an empty
    edit, if its media are cut.
    """
    start, entries = stream.start_time or 0, stream.index_entries
    if not media.container.format.name.startswith("mov,mp4") or start <= 0 or len(entries) < 2:
        return False
    before, last = (entries[len(entries) - back].timestamp for back in (2, 1))
    return start + (stream.duration or 0) > last + 2 * abs(last - before)


def untimed(media: Media | AudioFile) -> bool:
    """Return whether the file stores no time stamps."""
    return media.container.format.name == "avi"


def paletted(media: Media) -> bool:
    """Return whether pixels are indices into a palette, which is lost in a seek.

    In mov and avi, the palette comes with the first packet that is read.
    """
    pixels = media.video.codec_context.format
    return pixels is not None and pixels.name == "pal8"


def uncounted(media: Media | AudioFile) -> bool:
    """Return whether the file stores neither time stamps nor the lengths of its audio packets.

    FFmpeg's made-up times of such packets then also count empty ones, which the muxer writes to
    fill up the time before the first image, and the last packet has no duration.
    """
    return untimed(media) and media.audio.codec_context.name in _UNCOUNTED


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
