"""Decoded ingredients, and copies of a recording among them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32

from avblocks.data.scenes.cutout import Cutout
from avblocks.data.scenes.ingredients import Refusal
from avblocks.data.scenes.recording import Wave

_SAME = 0.7  # normalized correlation of two copies of a recording
_ALIKE = 0.95  # cosine similarity of the spectra of two copies
_BANDS = 48


@dataclass(frozen=True)
class Thing:
    """A decoded ingredient."""

    name: str
    kind: str
    cutout: Cutout
    wave: Wave


def group_copies(things: Sequence[Thing], refused: list[Refusal]) -> list[tuple[Thing, ...]]:
    """Group objects with the same recording; refuse those of another class than the first."""
    groups: list[list[Thing]] = []
    spectra = np.zeros((len(things), _BANDS))  # of the first thing of each group
    for thing in things:
        bands = _bands(thing.wave)
        alike = np.flatnonzero(spectra[: len(groups)] @ bands > _ALIKE)
        group = next((groups[n] for n in alike if _same(groups[n][0].wave, thing.wave)), None)
        if group is None:
            spectra[len(groups)] = bands
            groups.append([thing])
        elif group[0].kind == thing.kind:
            group.append(thing)
        else:
            refused.append(Refusal(thing.name, f"the same recording as {group[0].name}"))
    return [tuple(group) for group in groups]


def _bands(wave: Wave) -> Float[np.ndarray, " bands"]:
    """Return the amplitude in bands of equal width in octaves, with unit norm."""
    power = np.abs(np.fft.rfft(wave)) ** 2
    edges = np.geomspace(1, len(power), _BANDS + 1).astype(int) - 1
    bands = np.sqrt(np.add.reduceat(power, edges[:-1]))
    return bands / np.linalg.norm(bands)


def _same(first: Wave, second: Float32[np.ndarray, " t"]) -> bool:
    """Return whether two recordings of similar length are copies, at any offset and gain."""
    if not 0.8 < len(first) / len(second) < 1.25:
        return False
    size = len(first) + len(second)
    spectra = (np.fft.rfft(wave, size) for wave in (first, second))
    match = np.fft.irfft(next(spectra) * next(spectra).conj(), size)
    power: Float[np.ndarray, ""] = np.sqrt((first**2).sum() * (second**2).sum())
    return bool(np.abs(match).max() > _SAME * power)
