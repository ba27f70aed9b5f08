"""From an open file to one stretch of sound. All times are absolute, in seconds."""

from collections.abc import Callable, Iterator
from math import ceil, gcd, inf

import av
import numpy as np
from jaxtyping import Float

from avblocks.data.clip import ClipError
from avblocks.data.decode.channels import mono
from avblocks.data.decode.media import Media, Sound, reopen
from avblocks.data.decode.packets import lasting, packets, seek, sounds, take_only
from avblocks.data.decode.timeline import Placed, Samples, Stamped, in_a_row

Wave = Float[np.ndarray, " s"]
Mix = Callable[[av.AudioFrame], Samples]
"""Takes the samples out of a decoded piece, in [-1, 1]: ``mono`` or ``stereo``."""

_PREROLL = 0.5  # seconds; a lossy decoder needs a few packets before its output is right
_EARLIER = (_PREROLL, 10.0, inf)  # seconds; some containers go to just after the wanted time
_TAIL = 5.0  # seconds before the end in which a sound's last packets are looked for
_TRIMMED = 0.1  # seconds at the end of the last packet that a decoder may leave out, as Opus does
_MARGIN = 512  # output samples on both sides for the resampling filter to settle


def extent(media: Media | Sound) -> tuple[float, float]:
    """Where the sound begins and ends, by the file's own account."""
    start, stream = _beginning(media), media.audio
    if stream.duration is None:
        return start, max(start, _end(media))
    end = start + float(stream.duration * (stream.time_base or 0))
    if media.container.format.name == "avi":  # it also counts empty packets, which are not given
        end = min(end, max(start, _end(media)))
    return start, end


def _beginning(media: Media | Sound) -> float:
    """Where the sound begins."""
    stream, container = media.audio, media.container
    if stream.start_time is None and container.start_time is not None:
        return container.start_time / av.time_base
    return float((stream.start_time or 0) * (stream.time_base or 0))


def _end(media: Media | Sound) -> float:
    """Where the last packet of the sound ends: Matroska tells but where the longest stream does."""
    told = (media.container.duration or 0) / av.time_base
    for earlier in (_TAIL, inf):
        with reopen(media) as other:
            if earlier < told:
                other.container.seek(int((told - earlier) * av.time_base))
            ends = [
                float((packet.pts + (packet.duration or 0)) * packet.time_base)
                for packet in packets(other, other.audio)
                if packet.pts is not None
            ]
        if ends:
            return max(ends)
    return told


def decode_audio(
    media: Media | Sound, *, start: float, seconds: float, rate: int, end: float = -inf
) -> Wave:
    """Decode a window of sound, cut at the file's own rate and then resampled.

    Gaps are silent, and so is what little may be missing before ``end``, where the sound ends by
    the file's own account.

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
    line, until = _gather(media, first=first, length=length, native=native)
    if 0 < end * native - first - until <= _TRIMMED * native:
        until = round(end * native) - first
    until = min(until, length - lead)
    if until <= lead:
        raise ClipError(media.path, f"no sound from {start:.2f} s to {start + seconds:.2f} s")
    if not np.isfinite(line).all():
        raise ClipError(media.path, "the sound holds values that are not numbers")
    last = margin + round((until - lead) * rate / native)
    return np.clip(_resample(line, native, rate)[margin:last], -1, 1)


def _gather(media: Media | Sound, *, first: int, length: int, native: int) -> tuple[Wave, int]:
    """Decode the samples from a place on; silence where there are none; and how far they reach."""
    line, until = np.zeros(length, dtype=np.float32), 0
    for place, samples in placed_sounds(media, start=first / native):
        low, high = max(place - first, 0), min(place - first + len(samples), length)
        if low < high:
            line[low:high] = samples[low + first - place : high + first - place]
        until = min(place - first + len(samples), length)
        if until == length:
            break
    return line, until


def placed_sounds(media: Media | Sound, *, start: float, mix: Mix = mono) -> Iterator[Placed]:
    """Decode samples from somewhere before a time on, each piece with its place.

    Raises:
        ClipError: If the rate changes on the way.
    """
    take_only(media, media.audio)
    yield from in_a_row(
        stamped(_sounds_from(media, start), media, mix=mix),
        rate=media.audio.codec_context.sample_rate,
    )


def stamped(
    frames: Iterator[av.AudioFrame], media: Media | Sound, *, mix: Mix
) -> Iterator[Stamped]:
    """Take samples and stamps out of pieces of sound; the last one, empty, is where they end.

    Raises:
        ClipError: If the rate changes on the way.
    """
    rate, frame, stamp, samples = media.audio.codec_context.sample_rate, None, None, None
    for frame in frames:
        if frame.sample_rate != rate:
            raise ClipError(media.path, f"the rate changes from {rate} to {frame.sample_rate} Hz")
        samples, stamp = mix(frame), None if frame.time is None else round(frame.time * rate)
        yield stamp, samples
    if frame is not None and stamp is not None and samples is not None:
        # In mp4, a packet before a gap lasts as long as the gap.
        yield stamp + round(lasting(frame) * rate), samples[..., :0]


def _sounds_from(media: Media | Sound, start: float) -> Iterator[av.AudioFrame]:
    """Decode from somewhere before a time on, if there is any sound before it."""
    begins = _beginning(media)
    # Right after opening, the packet that primes the decoder comes first; after a seek to the start
    # it is left out, and the first samples are wrong.
    if start - _PREROLL <= begins:
        yield from sounds(media)
        return
    for earlier in _EARLIER:
        seek(media, media.audio, start - earlier)
        frames = sounds(media)
        first = next(frames, None)
        if first is not None and (first.time is None or first.time <= start or earlier == inf):
            yield first
            yield from frames
            return


def _resample(line: Wave, native: int, rate: int) -> Float[np.ndarray, " resampled"]:
    """Resample with FFmpeg's filter: no delay, error 2e-5 where torchaudio's default has 1e-3."""
    if native == rate:
        return line
    resampler = av.AudioResampler(format="fltp", layout="mono", rate=rate)
    frame = av.AudioFrame.from_ndarray(line[None], format="fltp", layout="mono")
    frame.sample_rate, frame.pts = native, 0
    parts = (*resampler.resample(frame), *resampler.resample(None))
    return np.concatenate([part.to_ndarray()[0] for part in parts])
