"""From an open file to one stretch of sound. All times are absolute, in seconds."""

from collections.abc import Iterator
from math import ceil, gcd, inf

import av
import numpy as np
from jaxtyping import Float

from avblocks.data.clip import ClipError
from avblocks.data.decode.media import Media, Sound, reopen
from avblocks.data.decode.packets import packets, seek, sounds, take_only

Wave = Float[np.ndarray, " s"]

_PREROLL = 0.5  # seconds; a lossy decoder needs a few packets before its output is right
_TAIL = 5.0  # seconds before the end in which a sound's last packets are looked for
_MARGIN = 512  # output samples on both sides for the resampling filter to settle
_JUMP = 0.02  # seconds; Matroska rounds times to 1 ms, so smaller gaps are not gaps


def extent(media: Media | Sound) -> tuple[float, float]:
    """Where the sound begins and ends, by the file's own account."""
    start, stream = _beginning(media), media.audio
    if stream.duration is not None:
        return start, start + float(stream.duration * (stream.time_base or 0))
    return start, max(start, _end(media))


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


def decode_audio(media: Media | Sound, *, start: float, seconds: float, rate: int) -> Wave:
    """Decode a window of sound, cut at the file's own rate and then resampled.

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
    for place, samples in placed_sounds(media, start=first / native, native=native):
        if place >= first + length:
            break
        low, high = max(place - first, 0), min(place - first + len(samples), length)
        if low < high:
            line[low:high] = samples[low + first - place : high + first - place]
            begin, end = min(begin, low), max(end, high)
    return line, begin, end


def placed_sounds(media: Media | Sound, *, start: float, native: int) -> Iterator[tuple[int, Wave]]:
    """Decode mono samples from somewhere before a time on, each piece with its place."""
    # Right after opening, the packet that primes the decoder comes first; after a seek to the start
    # it is left out, and the first samples are wrong.
    if start - _PREROLL > _beginning(media):
        seek(media, media.audio, start - _PREROLL)
    place: int | None = None
    take_only(media, media.audio)
    for frame in sounds(media):
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
