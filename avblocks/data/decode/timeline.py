"""Pieces of audio in a row: what time stamps that wobble, leave gaps or overlap stand for.

Every reader of audio takes its samples from here: clips, shards, long videos, health checks.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from statistics import median_low

import numpy as np
from jaxtyping import Float

TOLERANCE = 0.03
"""Seconds by which a time stamp may differ from the running clock and still change nothing."""
_AHEAD = 16  # pieces whose stamps say together where the first of them is
_ROUNDED = 16  # part of the tolerance that is rounding, to 1 ms in Matroska, and not wobbling

Samples = Float[np.ndarray, "..."]  # samples last; none or one axis of channels before
Stamped = tuple[int | None, Samples]
"""A piece of audio and its time stamp, in samples, if it has one."""
Placed = tuple[int, Samples]
"""A piece of audio and the place of its first sample."""


def in_a_row(pieces: Iterable[Stamped], *, rate: int) -> Iterator[Placed]:
    """Place each piece where the last one ended, as players do, unless its stamp says otherwise.

    Stamps are rounded, and those of capture cards and phones wobble: one within `TOLERANCE` of the
    running clock changes nothing, nor does a single one that the next piece contradicts. A later
    stamp leaves a gap, which is silent. Of a piece with an earlier stamp, the samples whose time
    has passed are dropped. Where a row begins, its first stamps decide by their median if
    they wobble.

    Args:
        pieces: Samples and stamps; an empty one at the end says how long the last gap is.
        rate: Samples per second.

    Yields:
        Places, which rise, and samples.

    >>> tone = np.ones(1000, np.float32)
    >>> stamped = [(0, tone), (1020, tone), (1990, tone), (5000, tone), (5500, tone)]
    >>> [(place, len(samples)) for place, samples in in_a_row(stamped, rate=8000)]
    [(0, 1000), (1000, 1000), (2000, 1000), (5000, 1000), (6000, 500)]
    """
    later, most = iter(pieces), round(TOLERANCE * rate)
    ahead, clock = deque(islice(later, _AHEAD)), None
    while ahead:
        stamp, samples = ahead[0]
        if clock is None:
            clock = _anchor(ahead, most)
        elif stamp is not None and abs(stamp - clock) > most and not _refuted(ahead, clock, most):
            anchor = _anchor(ahead, most)
            samples = samples[..., max(clock - anchor, 0) :]
            clock = max(clock, anchor)
        yield clock, samples
        clock += samples.shape[-1]
        ahead.popleft()
        ahead.extend(islice(later, 1))


def _anchor(ahead: Iterable[Stamped], most: int) -> int:
    """Find where the first piece begins by its stamp and those that follow without a gap."""
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
    """Whether the second piece is where it would be without a gap before the first."""
    if len(ahead) < 2 or (stamp := ahead[1][0]) is None:
        return False
    return abs(stamp - ahead[0][1].shape[-1] - clock) <= most


def without_gaps(pieces: Iterable[Placed], *, start: int, longest: int) -> Iterator[Samples]:
    """Yield the samples from a place on, with silence in the gaps, so many at once at most.

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
