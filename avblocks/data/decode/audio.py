"""Decode a window of audio from an open file. All times are absolute, in seconds."""

from collections.abc import Callable, Iterator
from math import ceil, gcd, inf

import av
import numpy as np
from jaxtyping import Float

from avblocks.data.clip import ClipError
from avblocks.data.decode.channels import mono
from avblocks.data.decode.media import AudioFile, Media, reopen
from avblocks.data.decode.packets import (
    audio_frames,
    lasting,
    made_up,
    overstated,
    packets,
    seek,
    seek_stamp,
    take_only,
    uncounted,
    untimed,
)
from avblocks.data.decode.timeline import Placed, Samples, Stamped, align_pieces

Wave = Float[np.ndarray, " s"]
Mix = Callable[[av.AudioFrame], Samples]
"""Converts a decoded frame to samples in [-1, 1]: ``mono`` or ``stereo``."""

_PREROLL = 0.5  # seconds; a lossy decoder needs a few packets before its output is right
_EARLIER = (_PREROLL, 10.0, inf)  # seconds; some containers seek to just after the wanted time
_TAIL = 5.0  # seconds before the end that are searched for the last audio packets
_TRIMMED = 0.1  # seconds at the end of the last packet that a decoder may drop, as Opus does
_MARGIN = 512  # output samples on both sides for the resampling filter to settle


def extent(media: Media | AudioFile) -> tuple[float, float]:
    """Return where the audio begins and ends according to the file's metadata."""
    start, stream = _beginning(media), media.audio
    if uncounted(media):
        return start, start + _decoded_seconds(media)
    if stream.duration is None or made_up(media, stream):
        return start, max(start, _end(media))
    end = start + float(stream.duration * (stream.time_base or 0))
    # The header of avi also counts empty packets, which are not given.
    if untimed(media) or overstated(media, stream):
        end = min(end, max(start, _end(media)))
    return start, end


def _beginning(media: Media | AudioFile) -> float:
    """Return where the audio begins."""
    stream, container = media.audio, media.container
    if made_up(media, stream):
        return _first_time(media)
    if stream.start_time is None and container.start_time is not None:
        return container.start_time / av.time_base
    return float((stream.start_time or 0) * (stream.time_base or 0))


def _first_time(media: Media | AudioFile) -> float:
    """Decode the first audio to find where it begins."""
    with reopen(media) as other:
        take_only(other, other.audio)
        times = (frame.time for frame in audio_frames(other) if frame.time is not None)
        return next(times, 0.0)


def _end(media: Media | AudioFile) -> float:
    """Find where the last audio packet ends: Matroska stores only the end of the longest stream."""
    stated = (media.container.duration or 0) / av.time_base
    for earlier in (_TAIL, inf):
        with reopen(media) as other:
            if earlier < stated:
                seek_stamp(other, int((stated - earlier) * av.time_base))
            times = [
                (
                    float(packet.pts * packet.time_base),
                    float((packet.duration or 0) * packet.time_base),
                )
                for packet in packets(other, other.audio)
                if packet.pts is not None
            ]
        if times:
            return _last_end(sorted(times))
    return stated


def _last_end(times: list[tuple[float, float]]) -> float:
    """Return the end of the last packet, which lasts as long as the one before it if not stored.

    >>> _last_end([(0.0, 0.0), (0.5, 0.0)]), _last_end([(0.0, 0.5), (0.5, 0.25)])
    (1.0, 0.75)
    """
    (start, seconds), before = times[-1], times[:-1]
    return start + (seconds or (start - before[-1][0] if before else 0.0))


def _decoded_seconds(media: Media | AudioFile) -> float:
    """Decode the whole audio to find how long it is."""
    with reopen(media) as other:
        samples = sum(frame.samples for frame in audio_frames(other))
    return samples / media.audio.codec_context.sample_rate


def decode_audio(
    media: Media | AudioFile, *, start: float, seconds: float, rate: int, end: float = -inf
) -> Wave:
    """Decode a window of audio at the file's sample rate, then resample it.

    Gaps are filled with silence. So are up to 0.1 s missing before ``end``, the end of the audio
    according to the file's metadata.

    Returns:
        Mono samples in [-1, 1]: the part of the window that the file contains.

    Raises:
        ClipError: If the file has no samples in the window, or NaN or infinite ones.
    """
    native = media.audio.codec_context.sample_rate
    unit = rate // gcd(native, rate)
    margin = unit * ceil(_MARGIN / unit)  # so that it is a whole number of input samples
    lead = margin * native // rate
    first, length = round(start * native) - lead, round(seconds * native) + 2 * lead
    line, until = _gather(media, first=first, length=length, native=native)
    if 0 < end * native - first - until <= _TRIMMED * native:
        until = round(end * native) - first
    until = min(until, length - lead)
    if until <= lead:
        raise ClipError(media.path, f"no audio from {start:.2f} s to {start + seconds:.2f} s")
    if not np.isfinite(line).all():
        raise ClipError(media.path, "the audio holds NaN or infinite values")
    last = margin + round((until - lead) * rate / native)
    return np.clip(_resample(line, native, rate)[margin:last], -1, 1)


def _gather(media: Media | AudioFile, *, first: int, length: int, native: int) -> tuple[Wave, int]:
    """Decode ``length`` samples from ``first`` on, with silence in gaps; return also their end."""
    line, until = np.zeros(length, dtype=np.float32), 0
    for place, samples in iter_audio(media, start=first / native):
        low, high = max(place - first, 0), min(place - first + len(samples), length)
        if low < high:
            line[low:high] = samples[low + first - place : high + first - place]
        until = min(place - first + len(samples), length)
        if until == length:
            break
    return line, until


def iter_audio(media: Media | AudioFile, *, start: float, mix: Mix = mono) -> Iterator[Placed]:
    """Decode audio from a point before ``start`` to the end, as (sample index, samples).

    Raises:
        ClipError: If the sample rate changes within the stream.
    """
    take_only(media, media.audio)
    yield from align_pieces(
        stamped(_frames_from(media, start), media, mix=mix),
        rate=media.audio.codec_context.sample_rate,
    )


def stamped(
    frames: Iterator[av.AudioFrame], media: Media | AudioFile, *, mix: Mix
) -> Iterator[Stamped]:
    """Yield the time stamp and samples of each frame, then an empty piece that marks the end.

    Raises:
        ClipError: If the sample rate changes within the stream.
    """
    rate, frame, stamp, samples = media.audio.codec_context.sample_rate, None, None, None
    for frame in frames:
        if frame.sample_rate != rate:
            raise ClipError(media.path, f"the rate changes from {rate} to {frame.sample_rate} Hz")
        time = None if uncounted(media) else frame.time
        samples, stamp = mix(frame), None if time is None else round(time * rate)
        yield stamp, samples
    if frame is not None and stamp is not None and samples is not None:
        # In mp4, a packet before a gap lasts as long as the gap.
        yield stamp + round(lasting(frame) * rate), samples[..., :0]


def _frames_from(media: Media | AudioFile, start: float) -> Iterator[av.AudioFrame]:
    """Decode from a point before ``start``, or from the beginning of the audio."""
    begins = _beginning(media)
    # Right after opening, the packet that primes the decoder comes first. A seek to the start skips
    # it, and then the first samples are wrong.
    if start - _PREROLL <= begins or uncounted(media):
        yield from audio_frames(media)
        return
    for earlier in _EARLIER:
        seek(media, media.audio, start - earlier)
        frames = audio_frames(media)
        first = next(frames, None)
        if first is not None and (first.time is None or first.time <= start or earlier == inf):
            yield first
            yield from frames
            return


def _resample(line: Wave, native: int, rate: int) -> Float[np.ndarray, " resampled"]:
    """Resample with FFmpeg's filter: no delay, error 2e-5 (torchaudio's default: 1e-3)."""
    if native == rate:
        return line
    resampler = av.AudioResampler(format="fltp", layout="mono", rate=rate)
    frame = av.AudioFrame.from_ndarray(line[None], format="fltp", layout="mono")
    frame.sample_rate, frame.pts = native, 0
    parts = (*resampler.resample(frame), *resampler.resample(None))
    return np.concatenate([part.to_ndarray()[0] for part in parts])
