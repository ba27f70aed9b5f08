"""Alignment of decoded audio: corrects time stamps with jitter, gaps and overlaps.

All audio readers use it: clips, shards, long videos, health checks.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from statistics import median_low

import numpy as np
from jaxtyping import Float

TOLERANCE = 0.03
"""Seconds by which a time stamp may differ from the running clock without effect."""
_AHEAD = 16  # pieces whose time stamps together determine where the first one begins
_ROUNDED = 16  # fraction of the tolerance that is rounding (1 ms in Matroska) rather than jitter

Samples = Float[np.ndarray, "..."]  # samples last; none or one axis of channels before
Stamped = tuple[int | None, Samples]
"""A piece of audio and its time stamp, in samples, if it has one."""
Placed = tuple[int, Samples]
"""The index of the first sample, and the samples."""


def align_pieces(pieces: Iterable[Stamped], *, rate: int) -> Iterator[Placed]:
    """Assign each piece of audio the index of its first sample.

    As in players, a piece begins where the previous one ended. Time stamps are rounded, and those
    of capture cards and phones have jitter, so a stamp within `TOLERANCE` of the running clock is
    ignored, and so is a single one that the next piece contradicts. A later stamp leaves a gap.
    From a piece with an earlier stamp, the samples before the clock are dropped. The first piece,
    and one after a gap, begins at the median of the next stamps if they have jitter.

    Args:
        pieces: Time stamps and samples; an empty piece at the end gives the length of the last gap.
        rate: Samples per second.

    Yields:
        Sample indices, in increasing order, and samples.

    >>> tone = np.ones(1000, np.float32)
    >>> stamped = [(0, tone), (1020, tone), (1990, tone), (5000, tone), (5500, tone)]
    >>> [(place, len(samples)) for place, samples in align_pieces(stamped, rate=8000)]
    [(0, 1000), (1000, 1000), (2000, 1000), (5000, 1000), (6000, 500)]
    """
    later, most = iter(pieces), round(TOLERANCE * rate)
    ahead, clock = deque[Stamped](), None
    while _look(ahead, later, 2):
        stamp, samples = ahead[0]
        if clock is None:
            clock = _anchor(_look(ahead, later, _AHEAD), most)
        elif stamp is not None and abs(stamp - clock) > most and not _refuted(ahead, clock, most):
            anchor = _anchor(_look(ahead, later, _AHEAD), most)
            samples = samples[..., max(clock - anchor, 0) :]
            clock = max(clock, anchor)
        yield clock, samples
        clock += samples.shape[-1]
        ahead.popleft()


def _look(ahead: deque[Stamped], later: Iterator[Stamped], count: int) -> deque[Stamped]:
    """Decode pieces until a number of them is known; no more, as each takes time."""
    ahead.extend(islice(later, max(count - len(ahead), 0)))
    return ahead


def _anchor(ahead: Iterable[Stamped], most: int) -> int:
    """Estimate where the first piece begins from its stamp and those that follow without a gap."""
    begins, passed = [], 0
    for stamp, samples in ahead:
        if stamp is not None:
            begin = stamp - passed
            if begins and abs(begin - begins[0]) > most:
                break
            begins.append(begin)
        passed += samples.shape[-1]
    if not begins:
        return 0
    middle = median_low(begins)
    return middle if abs(middle - begins[0]) > most // _ROUNDED else begins[0]


def _refuted(ahead: deque[Stamped], clock: int, most: int) -> bool:
    """Return whether the stamp of the second piece shows that there is no gap before the first."""
    if len(ahead) < 2 or (stamp := ahead[1][0]) is None:
        return False
    return abs(stamp - ahead[0][1].shape[-1] - clock) <= most


def without_gaps(pieces: Iterable[Placed], *, start: int, longest: int) -> Iterator[Samples]:
    """Yield the samples from index ``start`` on, with silence in gaps of ``longest`` at a time.

    >>> pieces = [(0, np.ones(2, np.float32)), (5, np.ones(2, np.float32))]
    >>> np.concatenate(list(without_gaps(pieces, start=1, longest=2)))
    array([1., 0., 0., 0., 1., 1.], dtype=float32)
    """
    for place, samples in pieces:
        while start < place:
            gap = min(place - start, longest)
            start += gap
            yield np.zeros((*samples.shape[:-1], gap), np.float32)
        fresh = samples[..., start - place :]
        start += fresh.shape[-1]
        if fresh.shape[-1]:
            yield np.ascontiguousarray(fresh)


def collect_pieces(pieces: Iterable[Samples], *, least: int) -> Iterator[Samples]:
    """Join pieces to longer ones: a call costs more than the work on a single packet.

    >>> [len(piece) for piece in collect_pieces([np.ones(3)] * 5, least=6)]
    [6, 6, 3]
    """
    waiting: list[Samples] = []
    for piece in pieces:
        waiting.append(piece)
        if sum(some.shape[-1] for some in waiting) >= least:
            yield np.concatenate(waiting, axis=-1)
            waiting = []
    if waiting:
        yield np.concatenate(waiting, axis=-1)
