"""What a reader gave: where its audio is in the chirp, and which image it shows."""

import numpy as np
import torch

from avblocks.data import ClipFormat
from avblocks.data.decode.audio import extent
from avblocks.data.decode.media import open_media
from avblocks.video import open_windows
from tests.data.clip_files import chirp


def lag(audio: np.ndarray, *, start: float, rate: int, reach: int = 3000) -> int:
    """Samples by which audio comes after the chirp from a time on, up to ``reach``."""
    wave = chirp(start + np.arange(len(audio)) / rate)
    spectra = np.fft.rfft([audio, wave], n=2 * len(audio))
    scores = np.fft.irfft(spectra[0] * spectra[1].conj())
    shifts = np.arange(-reach, reach + 1)
    return int(shifts[np.argmax(scores[shifts])])


def likeness(audio: np.ndarray, *, start: float, rate: int) -> float:
    """Correlation of audio with the chirp from the time on at which it fits best, about a time."""
    times = start + np.arange(len(audio)) / rate
    shifts = np.linspace(-1, 1, 21) / rate
    return max(float(np.corrcoef(audio, chirp(times + shift))[0, 1]) for shift in shifts)


def window_start(path: str, *, place: float, seconds: float) -> float:
    """Time stamp at which a window of audio begins."""
    with open_media(path) as media:
        begin, end = extent(media)
    return begin + place * max(end - begin - seconds, 0)


def silent(audio: np.ndarray, *, rate: int) -> np.ndarray:
    """Whether each 10 ms of audio are silent."""
    step = rate // 100
    blocks = audio[: len(audio) // step * step].reshape(-1, step)
    return np.abs(blocks).max(axis=1) < 0.02


def streamed(path: str, *, rate: int) -> np.ndarray:
    """All audio of a file as predict reads it."""
    windows = open_windows(path, ClipFormat(seconds=1.0, rate=rate, size=16, mels=16))
    line = torch.zeros(windows.num_samples)
    for batch in windows.batches(4):
        for start, audio in zip(batch.starts, batch.audio, strict=True):
            part = audio[: windows.num_samples - start]
            line[start : start + len(part)] = part
    return line.numpy()
