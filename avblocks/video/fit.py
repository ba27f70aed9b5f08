"""Audio that replaces that of a video: of another file, or silence."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from avblocks.data import ClipError
from avblocks.data.decode.audio import Wave
from avblocks.data.decode.media import open_audio
from avblocks.data.write import wave_writer
from avblocks.shapes import require_above_zero, require_positive
from avblocks.video.audio import resample_audio


def fit_audio(
    out: str | Path, *, seconds: float, source: str | Path | None = None, rate: int = 48_000
) -> None:
    """Write a mono wav file of a given length, for example as the ``audio`` of `open_windows`.

    Args:
        out: Output file.
        seconds: Length.
        source: A wav, flac, ogg, mp3 or m4a file, or a video, whose audio is cut to the length, or
            repeated until it has it; silence if not given.
        rate: Samples per second.

    Raises:
        ClipError: If the source cannot be used, or has no audio.
        ValueError: If a number is not positive.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     fit_audio(f"{folder}/silence.wav", seconds=0.5, rate=8000)
    ...     Path(folder, "silence.wav").stat().st_size  # 4000 samples after a header
    8044
    """
    require_above_zero(seconds=seconds)
    require_positive(rate=rate)
    left = max(round(seconds * rate), 1)
    with wave_writer(out, rate=rate) as write:
        for piece in _silence(rate) if source is None else _repeat(str(source), rate):
            write(piece[:left])
            left -= len(piece)
            if left <= 0:
                return


def _silence(rate: int) -> Iterator[Wave]:
    while True:
        yield np.zeros(rate, np.float32)


def _repeat(source: str, rate: int) -> Iterator[Wave]:
    """Decode a file from its start to its end, again and again."""
    while True:
        samples = 0
        with open_audio(source, recording=True, video=True) as media:
            for piece in resample_audio(media, rate=rate):
                samples += len(piece)
                yield piece
        if not samples:
            raise ClipError(source, "its audio has no samples")
