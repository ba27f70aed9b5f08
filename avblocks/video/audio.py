"""The audio of a video's windows, decoded in one pass."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import av
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from avblocks.audio import pad_repeat
from avblocks.data import ClipError, ClipFormat
from avblocks.data.decode.audio import Wave, extent, iter_audio
from avblocks.data.decode.media import AudioFile, Media, open_audio, open_media
from avblocks.data.decode.timeline import collect_pieces, without_gaps

_TOLERANCE = 0.5  # seconds by which audio may be shorter than its header says


def stream_audio(
    path: str | Path,
    format: ClipFormat,
    *,
    starts: Sequence[int],
    num_samples: int,
    begin: float | None = None,
    alone: bool = False,
) -> Iterator[Float[Tensor, " s"]]:
    """Decode the audio of windows one after the other, with one window in memory.

    Args:
        path: An mp4, mov, mkv, webm or avi file with images and audio.
        format: Length and rate of the windows.
        starts: First sample of each window, in steps of at most the length of a window.
        num_samples: Length of the audio, from the header.
        begin: Time stamp of the first sample, in seconds; the beginning of the audio if not given.
        alone: Whether the file is a wav or flac file instead of a video.

    Yields:
        Mono samples in [-1, 1] of the next window. Gaps are silent, and audio shorter than a
        window is repeated in mirror image, as in training.

    Raises:
        ClipError: If the audio ends before its header says, or is not finite.
    """
    length, rate = format.samples, format.rate
    with (open_audio if alone else open_media)(str(path)) as media:
        pieces, buffer, first = (
            resample_audio(media, rate=rate, begin=begin),
            np.zeros(0, np.float32),
            0,
        )
        for start in starts:
            buffer, first = buffer[start - first :], start
            needed = min(length, num_samples - start)
            while len(buffer) < needed:
                piece = next(pieces, None)
                if piece is None:
                    _check_end(media.path, start + len(buffer), num_samples, rate=rate)
                    piece = np.zeros(needed - len(buffer), np.float32)
                buffer = np.concatenate((buffer, piece))
            yield pad_repeat(torch.from_numpy(buffer[:needed]), length)


def _check_end(path: str, decoded: int, expected: int, *, rate: int) -> None:
    """Refuse a file whose audio ends too early."""
    if (expected - decoded) / rate > _TOLERANCE or not decoded:
        seconds, total = decoded / rate, expected / rate
        reason = f"cut short: {seconds:.1f} s of the {total:.1f} s of audio can be decoded"
        raise ClipError(path, reason)


def resample_audio(
    media: Media | AudioFile, *, rate: int, begin: float | None = None
) -> Iterator[Wave]:
    """Decode mono audio in pieces; equal to ``decode_audio`` except for samples at the ends."""
    native = media.audio.codec_context.sample_rate
    resampler, position = av.AudioResampler(format="fltp", layout="mono", rate=rate), 0
    begin = extent(media)[0] if begin is None else begin
    pieces = iter_audio(media, start=begin)
    aligned = without_gaps(pieces, start=round(begin * native), longest=native)
    for samples in collect_pieces(aligned, least=native):
        if not np.isfinite(samples).all():
            raise ClipError(media.path, "the audio holds NaN or infinite values")
        if native == rate:
            yield np.clip(samples, -1, 1)
            continue
        frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts = native, position
        position += len(samples)
        yield from (np.clip(part.to_ndarray()[0], -1, 1) for part in resampler.resample(frame))
    if position:
        yield from (np.clip(part.to_ndarray()[0], -1, 1) for part in resampler.resample(None))
