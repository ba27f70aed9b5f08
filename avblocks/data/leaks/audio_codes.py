"""Audio fingerprints: bits of energy differences, which survive re-encoding."""

import numpy as np
from jaxtyping import Bool, Float, UInt32

RATE = 8000
"""Sample rate of the fingerprinted audio."""
HOP = 128
"""Samples between codes: 16 ms."""
CODES_PER_SECOND = RATE / HOP
_WINDOW = 3072  # samples, 0.38 s: long, so that a shift by half a hop changes few bits
_LAG = 4  # frames between which energies are compared
_BANDS = 33
_RANGE = (200.0, 3600.0)  # Hz, which survives speech codecs and low bit rates
_SILENCE = 1e-3  # root mean square
_FLOOR = 1e-3  # share of the loudest band, which hides what codecs make of quiet bands
_WEAK = 8
_BLOCK = 2048  # frames transformed at once


def audio_codes(audio: Float[np.ndarray, " s"]) -> UInt32[np.ndarray, "t 2"]:
    r"""Compute a code of 32 bits for every 16 ms of audio at 8 kHz.

    .. math:: b(t, m) = [E(t, m) - E(t, m+1) - E(t-4, m) + E(t-4, m+1) > 0]

    :math:`E` is the log energy of a window of 0.38 s in 33 bands from 200 to 3600 Hz. Silent frames
    have the code 0. Gain, mono mixing, resampling and lossy codecs change few bits; other pitches
    and speeds change all.

    Returns:
        The codes, each with a mask of its eight weakest bits, which change first; empty if the
        audio is shorter than a window.

    Source: Haitsma and Kalker, "A highly robust audio fingerprinting system" (ISMIR 2002), with
    longer hops and a wider range.
    """
    if len(audio) < _WINDOW + _LAG * HOP:
        return np.zeros((0, 2), dtype=np.uint32)
    frames = np.lib.stride_tricks.sliding_window_view(audio.astype(np.float32), _WINDOW)[::HOP]
    blocks = [frames[at : at + _BLOCK] for at in range(0, len(frames), _BLOCK)]
    energy = np.concatenate([_log_energies(block) for block in blocks])
    loud = np.concatenate([np.sqrt((block**2).mean(1)) > _SILENCE for block in blocks])
    slope = energy[:, :-1] - energy[:, 1:]
    change = slope[_LAG:] - slope[:-_LAG]
    rank = np.abs(change).argsort(axis=1).argsort(axis=1)
    codes = _packed(change > 0) * (loud[_LAG:] & loud[:-_LAG])
    return np.stack([codes, _packed(rank < _WEAK)], axis=1)


def variants(codes: UInt32[np.ndarray, "t 2"]) -> UInt32[np.ndarray, "t _"]:
    """Return each code with all values of its weakest bits."""
    masks = codes[:, 1:]
    bits = np.uint32(1) << np.arange(32, dtype=np.uint32)
    weak = (masks & bits)[(masks & bits) > 0].reshape(len(codes), _WEAK)
    chosen = np.arange(1 << _WEAK)[:, None] >> np.arange(_WEAK) & 1
    return codes[:, :1] ^ (weak @ chosen.T.astype(np.uint32))


def _log_energies(frames: Float[np.ndarray, "t s"]) -> Float[np.ndarray, "t m"]:
    power = np.abs(np.fft.rfft(frames * np.hanning(_WINDOW).astype(np.float32))) ** 2
    edges = np.geomspace(*_RANGE, _BANDS + 1) * _WINDOW / RATE
    bands = np.add.reduceat(power, np.round(edges).astype(int), axis=1)[:, :-1]
    return np.log(bands + _FLOOR * bands.max(axis=1, keepdims=True) + 1e-9)


def _packed(bits: Bool[np.ndarray, "t m"]) -> UInt32[np.ndarray, " t"]:
    return np.packbits(bits, axis=1).view(">u4")[:, 0].astype(np.uint32)
