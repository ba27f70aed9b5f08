"""From an open file to one picture and one stretch of sound. All times are absolute, in seconds."""

from collections.abc import Iterator
from fractions import Fraction
from math import ceil, gcd, inf

import av
import numpy as np
from av.audio.stream import AudioStream
from av.stream import Discard
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from jaxtyping import Float, UInt8

from avblocks.data._media import Media, Sound
from avblocks.data.clip import ClipError

Wave = Float[np.ndarray, " s"]

_PREROLL = 0.5  # seconds; a lossy decoder needs a few packets before its output is right
_MARGIN = 512  # output samples on both sides for the resampling filter to settle
_JUMP = 0.02  # seconds; Matroska rounds times to 1 ms, so smaller gaps are not gaps
_TIE = 1e-6  # seconds
_NEAR = 2  # frames before the wanted one that are all decoded


def extent(media: Media | Sound) -> tuple[float, float]:
    """Where the sound begins and ends, by the file's own account."""
    stream, container = media.audio, media.container
    scale = float(stream.time_base or 0)
    start = (stream.start_time or 0) * scale
    if stream.start_time is None and container.start_time is not None:
        start = container.start_time / av.time_base
    if stream.duration is not None:
        return start, start + stream.duration * scale
    return start, start + (container.duration or 0) / av.time_base


def decode_audio(media: Media | Sound, *, start: float, seconds: float, rate: int) -> Wave:
    """Decode a window of sound, cut at the file's own rate and then resampled.

    Args:
        media: The file.
        start: Where the window begins.
        seconds: Its length.
        rate: Samples per second of the result.

    Returns:
        Mono samples in [-1, 1]: as much of the window as the file has.

    Raises:
        ClipError: If that is nothing, or not numbers.
    """
    native = media.audio.codec_context.sample_rate
    unit = rate // gcd(native, rate)
    margin = unit * ceil(_MARGIN / unit)  # so many output samples are a whole number of input ones
    lead = margin * native // rate
    first, length = round(start * native) - lead, round(seconds * native) + 2 * lead
    line, begin, end = _gather(media, first=first, length=length, native=native)
    begin, end = max(begin, lead), min(end, length - lead)
    if begin >= end:
        raise ClipError(media.path, f"no sound from {start:.2f} s to {start + seconds:.2f} s")
    if not np.isfinite(line).all():
        raise ClipError(media.path, "the sound holds values that are not numbers")
    low, high = (margin + round((edge - lead) * rate / native) for edge in (begin, end))
    return np.clip(_resample(line, native, rate)[low:high], -1, 1)


def _gather(media: Media | Sound, *, first: int, length: int, native: int) -> tuple[Wave, int, int]:
    """Decode the samples from a place on; silence where there are none, and the span found."""
    line, begin, end = np.zeros(length, dtype=np.float32), length, 0
    for place, samples in _sound(media, start=first / native, native=native):
        if place >= first + length:
            break
        low, high = max(place - first, 0), min(place - first + len(samples), length)
        if low < high:
            line[low:high] = samples[low + first - place : high + first - place]
            begin, end = min(begin, low), max(end, high)
    return line, begin, end


def _sound(media: Media | Sound, *, start: float, native: int) -> Iterator[tuple[int, Wave]]:
    """Decode mono samples from somewhere before a time on, each piece with its place."""
    # Right after opening, the packet that primes the decoder comes first; after a seek to the start
    # it is left out, and the first samples are wrong.
    if start - _PREROLL > extent(media)[0]:
        _seek(media, media.audio, start - _PREROLL)
    place: int | None = None
    _take_only(media, media.audio)
    for frame in media.container.decode(media.audio):
        if frame.sample_rate != native:
            raise ClipError(media.path, f"the rate changes from {native} to {frame.sample_rate} Hz")
        stamp = None if frame.time is None else round(frame.time * native)
        if place is None or (stamp is not None and abs(stamp - place) > _JUMP * native):
            place = stamp or 0
        samples = _mono(frame)
        yield place, samples
        place += len(samples)


def _mono(frame: av.AudioFrame) -> Wave:
    """Mean over the channels, integers scaled to [-1, 1]."""
    samples = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, frame.layout.nb_channels).T
    if samples.dtype == np.uint8:
        samples = (samples.astype(np.float32) - 128) / 128
    elif samples.dtype.kind == "i":
        samples = samples / -float(np.iinfo(samples.dtype.name).min)
    alone = len(samples) == 1 and samples.dtype == np.float32
    return samples[0] if alone else samples.mean(axis=0, dtype=np.float32)


def _resample(line: Wave, native: int, rate: int) -> Float[np.ndarray, " resampled"]:
    """Resample with FFmpeg's filter: no delay, error 2e-5 where torchaudio's default has 1e-3."""
    if native == rate:
        return line
    resampler = av.AudioResampler(format="fltp", layout="mono", rate=rate)
    frame = av.AudioFrame.from_ndarray(line[None], format="fltp", layout="mono")
    frame.sample_rate, frame.pts = native, 0
    parts = (*resampler.resample(frame), *resampler.resample(None))
    return np.concatenate([part.to_ndarray()[0] for part in parts])


def decode_frame(media: Media, *, time: float) -> UInt8[np.ndarray, "height width 3"]:
    """Decode the picture that is shown at a time; the first or last one outside the video.

    Args:
        media: The file.
        time: When.

    Returns:
        RGB, turned as the file says.

    Raises:
        ClipError: If there is no picture.
    """
    _take_only(media, media.video)
    near = _NEAR * _period(media)
    # Some containers seek to just after the wanted time, or to the end for a time past it.
    for earlier, lead in ((0.0, near), (0.0, inf), (10.0, inf), (inf, inf)):
        _seek(media, media.video, time - earlier)
        shown = _shown(media, time=time, lead=lead)
        # All frames of the lead were decoded: the last of those is the last of all.
        if shown is not None and (time - lead <= shown[0] <= time + _TIE or earlier == inf):
            # One thread of our own: those av 19 keeps for its conversions hang a forked worker.
            picture = VideoReformatter().reformat(shown[1], format="rgb24", threads=1)
            return np.rot90(picture.to_ndarray(), round(shown[1].rotation / 90))
    raise ClipError(media.path, "no video frame can be decoded")


def _shown(media: Media, *, time: float, lead: float) -> tuple[float, av.VideoFrame] | None:
    """Decode forward to the last frame that starts by a time, or else to the first frame.

    Frames outside the lead before that time are decoded only where others depend on them.
    """
    shown, stamp, codec = None, 0.0, media.video.codec_context
    for packet in media.container.demux(media.video):
        begins = time if packet.pts is None else float(packet.pts * (packet.time_base or 0))
        near = lead == inf or time - lead <= begins <= time + _TIE
        codec.skip_frame = "DEFAULT" if near else "NONREF"
        for frame in packet.decode():
            stamp = stamp + _period(media) if frame.time is None else frame.time
            if shown is not None and stamp > time + _TIE:
                return shown
            shown = stamp, frame
    return shown


def _period(media: Media) -> float:
    """Seconds from one frame to the next, about."""
    return float(1 / media.video.average_rate) if media.video.average_rate else 0.04


def _take_only(media: Media | Sound, wanted: AudioStream | VideoStream) -> None:
    """Leave out the packets of all other streams: most containers then do not even read them."""
    for stream in media.container.streams:
        stream.discard = Discard.default if stream.index == wanted.index else Discard.all


def _seek(media: Media | Sound, stream: AudioStream | VideoStream, time: float) -> None:
    """Go to the last key frame before a time, or to the beginning of the stream."""
    scale, first = stream.time_base or Fraction(1, av.time_base), stream.start_time or 0
    media.container.seek(first if time <= first * scale else int(time / scale), stream=stream)
