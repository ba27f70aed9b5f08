"""The sound of a video's windows, decoded in one pass."""

from collections.abc import Iterable, Iterator

import av
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from avblocks.audio import pad_repeat
from avblocks.data import ClipError
from avblocks.data.decode.audio import Wave, extent, placed_sounds
from avblocks.data.decode.media import Media
from avblocks.video.film import Film

_LOST = 0.5  # seconds that a sound may be shorter than its file says


def sounds(film: Film, media: Media) -> Iterator[Float[Tensor, " s"]]:
    """Decode the sound of each window, those of a short file lengthened as in training.

    Args:
        film: The file.
        media: It, just opened.

    Yields:
        Samples of the next window.

    Raises:
        ClipError: If there is less than the file says, or the sound is not numbers.
    """
    length, rate = film.format.samples, film.format.rate
    pieces, line, first = _resampled(media, rate=rate), np.zeros(0, np.float32), 0
    for start in film.starts:
        line, first = line[start - first :], start
        wanted = min(length, film.total - start)
        while len(line) < wanted:
            piece = next(pieces, None)
            if piece is None:
                _check_end(film, found=start + len(line))
                piece = np.zeros(wanted - len(line), np.float32)
            line = np.concatenate((line, piece))
        yield pad_repeat(torch.from_numpy(line[:wanted]), length)


def _check_end(film: Film, *, found: int) -> None:
    """Refuse a file whose sound ends too early."""
    told, seconds = film.total / film.format.rate, found / film.format.rate
    if told - seconds > _LOST or not found:
        reason = f"cut short: {seconds:.1f} s of the {told:.1f} s of sound can be decoded"
        raise ClipError(film.path, reason)


def _resampled(media: Media, *, rate: int) -> Iterator[Wave]:
    """Decode all of the sound, in pieces; but for a few at both ends, as ``decode_audio`` does."""
    native = media.audio.codec_context.sample_rate
    resampler, place = av.AudioResampler(format="fltp", layout="mono", rate=rate), 0
    for samples in _whole(media, native=native):
        if not np.isfinite(samples).all():
            raise ClipError(media.path, "the sound holds values that are not numbers")
        if native == rate:
            yield np.clip(samples, -1, 1)
            continue
        frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts, place = native, place, place + len(samples)
        yield from _samples(resampler.resample(frame))
    if place:
        yield from _samples(resampler.resample(None))


def _samples(frames: Iterable[av.AudioFrame]) -> Iterator[Wave]:
    for frame in frames:
        yield np.clip(frame.to_ndarray()[0], -1, 1)


def _whole(media: Media, *, native: int) -> Iterator[Wave]:
    """Decode the sound at its own rate, with silence where it has gaps."""
    begin = extent(media)[0]
    place = round(begin * native)
    for at, samples in placed_sounds(media, start=begin, native=native):
        while place < at:
            gap = min(at - place, native)
            place += gap
            yield np.zeros(gap, np.float32)
        fresh = samples[place - at :]
        place += len(fresh)
        if len(fresh):
            yield np.ascontiguousarray(fresh)
