"""Recordings of composed scenes: read, looped at another pitch, and noise."""

from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32
from numpy.random import Generator

from avblocks.data.clip import ClipError
from avblocks.data.decode.audio import decode_audio, extent
from avblocks.data.decode.media import open_audio
from avblocks.data.scenes.timbres import Voice

Wave = Float32[np.ndarray, " s"]

_LONGEST = 30.0  # seconds that are read
_FRAME = 0.02  # seconds
_QUIET = 0.01  # of the loudest frame: 40 dB below it
_SILENT = 1e-3  # RMS of the loudest frame of a silent recording
_REST = 0.1  # seconds around a loud frame that are kept
_AUDIBLE = 0.2  # seconds
_FADE = 0.005  # seconds


def read_recording(path: Path, *, rate: int, min_seconds: float) -> Wave:
    """Read the first 30 s of a recording, with peak 1 and pauses of 0.2 s at most.

    Raises:
        ClipError: If the file cannot be decoded, or it is too short or silent.
    """
    with open_audio(str(path), recording=True) as media:
        first, end = extent(media)
        length = min(end - first, _LONGEST)
        if length <= 0:
            raise ClipError(str(path), "the audio is empty")
        wave = decode_audio(media, start=first, seconds=length, rate=rate, end=end)
    if len(wave) <= min_seconds * rate:
        seconds = f"{len(wave) / rate:.2f} s"
        raise ClipError(str(path), f"{seconds} long; it needs more than {min_seconds:g} s")
    loud = _loudness(wave, rate=rate)
    if loud.max() < _SILENT:
        raise ClipError(str(path), "the audio is silent")
    kept = _without_pauses(wave, loud, rate=rate)
    if len(kept) < _AUDIBLE * rate:
        raise ClipError(str(path), f"audible for {len(kept) / rate:.2f} s only")
    return (kept / np.abs(kept).max()).astype(np.float32)


def _loudness(wave: Float[np.ndarray, " s"], *, rate: int) -> Float[np.ndarray, " frames"]:
    """Return the RMS of each frame of 20 ms."""
    frame = round(_FRAME * rate)
    padded = np.pad(wave.astype(np.float64), (0, -len(wave) % frame))
    return np.sqrt((padded.reshape(-1, frame) ** 2).mean(axis=1))


def _without_pauses(
    wave: Float[np.ndarray, " s"], loud: Float[np.ndarray, " frames"], *, rate: int
) -> Float[np.ndarray, " kept"]:
    """Remove the frames that are far from every loud frame."""
    reach = round(_REST / _FRAME)
    near = np.convolve(loud > _QUIET * loud.max(), np.ones(2 * reach + 1), mode="same") > 0
    return wave[np.repeat(near, round(_FRAME * rate))[: len(wave)]]


def perform(
    wave: Wave, *, generator: Generator, seconds: float, rate: int, semitones: float
) -> Voice:
    """Loop a recording from a random point, at a random pitch and with short random gaps.

    Args:
        wave: The recording.
        generator: Random generator.
        seconds: Length of the result.
        rate: Samples per second.
        semitones: Largest change of the pitch; the speed changes with it.
    """
    turn = resample(wave, 2 ** (generator.uniform(-semitones, semitones) / 12))
    fade = np.minimum(np.arange(1, len(turn) + 1) / (_FADE * rate), 1)
    turn = turn * fade * fade[::-1]
    gap, length = round(generator.uniform(0, 0.25) * rate), round(seconds * rate)
    period = len(turn) + gap
    start = int(generator.integers(period))
    line = np.tile(np.pad(turn, (0, gap)), -(-(start + length) // period))[start : start + length]
    loud = np.repeat(_loudness(line, rate=rate), round(_FRAME * rate))[:length]
    return Voice(line / np.abs(line).max(), loud / loud.max(), onsets=())


def resample(wave: Float[np.ndarray, " s"], speed: float) -> Float[np.ndarray, " t"]:
    """Play a recording at another speed, without aliasing: in the frequency domain.

    >>> import numpy as np
    >>> tone = np.sin(2 * np.pi * 10 * np.arange(1000) / 1000)
    >>> fast = resample(tone, 2.0)
    >>> len(fast), int(np.abs(np.fft.rfft(fast)).argmax()), round(float(np.abs(fast).max()), 2)
    (500, 10, 1.0)
    """
    length = max(round(len(wave) / speed), 1)
    spectrum = np.fft.rfft(wave)
    bins = length // 2 + 1
    spectrum = np.pad(spectrum[:bins], (0, max(bins - len(spectrum), 0)))
    return np.fft.irfft(spectrum, length) * length / len(wave)


def noise(*, generator: Generator, length: int) -> Float[np.ndarray, " s"]:
    """Draw noise of unit power whose spectrum falls by 0 to 6 dB per octave."""
    white = np.fft.rfft(generator.standard_normal(length))
    slope = np.arange(1, len(white) + 1) ** -generator.uniform(0, 1)
    line = np.fft.irfft(white * slope, length)
    return line / np.sqrt(np.mean(line**2))
