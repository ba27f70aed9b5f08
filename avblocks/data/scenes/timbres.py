"""Audio of the scenes: four timbres, synthesized note by note."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.random import Generator

Wave = Float[np.ndarray, " s"]
_SCALE = np.array([0, 2, 4, 7, 9, 12])  # major pentatonic, semitones


@dataclass(frozen=True)
class Voice:
    """Audio of an object; that of a silent object only drives its motion.

    Attributes:
        wave: Samples, peak 1.
        envelope: Loudness in [0, 1], same length.
        onsets: Start of each note, seconds.
    """

    wave: Wave
    envelope: Wave
    onsets: tuple[float, ...]


@dataclass(frozen=True)
class Timbre:
    """Parameters of an instrument.

    Attributes:
        pitch: Lowest and highest root note, Hz.
        gap: Shortest and longest time between notes, seconds.
        envelope: Function of the seconds since the onset and the gap that returns the loudness.
        tone: Function of the seconds since the onset, pitch and a generator that returns samples.
    """

    pitch: tuple[float, float]
    gap: tuple[float, float]
    envelope: Callable[[Wave, float], Wave]
    tone: Callable[[Wave, float, Generator], Wave]


def _pluck(time: Wave, pitch: float, generator: Generator) -> Wave:
    """Synthesize many harmonics; the higher they are, the faster they decay."""
    order = np.arange(1, 9)[:, None]
    partials = np.sin(2 * np.pi * pitch * order * time) * np.exp(-2.5 * order * time) / order
    return partials.sum(axis=0)


def _reed(time: Wave, pitch: float, generator: Generator) -> Wave:
    """Synthesize odd harmonics with vibrato."""
    order = np.arange(1, 12, 2)[:, None]
    vibrato = 0.012 * np.sin(2 * np.pi * generator.uniform(4.5, 6.5) * time)
    phase = order * (2 * np.pi * pitch * time + vibrato * pitch / 5)
    return (np.sin(phase) / order**0.7).sum(axis=0)


def _bell(time: Wave, pitch: float, generator: Generator) -> Wave:
    """Synthesize by FM at an irrational ratio: inharmonic partials that fade to a pure tone."""
    modulator = np.sin(2 * np.pi * pitch * 1.414 * time) * 3.0 * np.exp(-4 * time)
    return np.sin(2 * np.pi * pitch * time + modulator)


def _shaker(time: Wave, pitch: float, generator: Generator) -> Wave:
    """Synthesize noise above ``pitch``: differenced white noise plus its ring-modulated copy."""
    noise = generator.standard_normal(len(time))
    return np.diff(noise, prepend=0.0) * (1 + 0.5 * np.cos(2 * np.pi * pitch * time))


def _decay(speed: float) -> Callable[[Wave, float], Wave]:
    """Return an envelope with an attack of 4 ms and an exponential decay."""
    return lambda time, gap: np.minimum(time / 0.004, 1) * np.exp(-speed * time)


def _sustain(time: Wave, gap: float) -> Wave:
    """Return an envelope with an attack of 60 ms that ends just before the next note."""
    return np.clip(np.minimum(time / 0.06, (0.92 * gap - time) / 0.08), 0, 1)


_INSTRUMENTS = {
    "pluck": Timbre((110, 180), (0.22, 0.42), _decay(5.0), _pluck),
    "reed": Timbre((260, 420), (0.45, 0.9), _sustain, _reed),
    "bell": Timbre((700, 1100), (0.4, 0.7), _decay(3.0), _bell),
    "shaker": Timbre((1500, 3000), (0.11, 0.2), _decay(28.0), _shaker),
}


def play(timbre: str, *, generator: Generator, seconds: float, rate: int) -> Voice:
    """Synthesize a random tune: key, tempo, phase and accents are drawn.

    Almost every window of one second contains a note.
    """
    instrument = _INSTRUMENTS[timbre]
    root = float(np.exp(generator.uniform(*np.log(instrument.pitch))))
    gap = float(generator.uniform(*instrument.gap))
    length = round(seconds * rate)
    wave, envelope = np.zeros(length), np.zeros(length)
    onsets = np.arange(generator.uniform(0, 0.4 * gap), seconds - 0.02, gap)
    for onset in onsets:
        start = int(onset * rate)
        time = np.arange(min(length - start, round(1.5 * rate))) / rate
        pitch = root * 2 ** (float(generator.choice(_SCALE)) / 12)
        loudness = instrument.envelope(time, gap) * generator.uniform(0.7, 1.0)
        note = slice(start, start + len(time))
        wave[note] += loudness * instrument.tone(time, pitch, generator)
        envelope[note] = np.maximum(envelope[note], loudness)
    return Voice(wave / np.abs(wave).max(), envelope, tuple(onsets.tolist()))
