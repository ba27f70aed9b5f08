"""A video of any length, and the windows that it is looked at through."""

from dataclasses import dataclass
from itertools import pairwise
from math import inf

from avblocks.data import ClipError, ClipFormat
from avblocks.data.decode.audio import extent
from avblocks.data.decode.media import open_media

LONGEST = 24 * 3600
"""Seconds that a file may last."""


@dataclass(frozen=True, kw_only=True)
class Film:
    """A file, and where the windows lie in its sound."""

    path: str
    """The file."""

    format: ClipFormat
    """Length and rate of the windows, and size of their images."""

    zero: float
    """When it begins, seconds by its own clock, where a player shows 0."""

    begin: float
    """When its sound begins."""

    total: int
    """Samples of its sound."""

    starts: tuple[int, ...]
    """First sample of each window."""

    @property
    def spans(self) -> list[tuple[float, float]]:
        """Beginning and end of each window, seconds as a player shows them."""
        offset, rate = self.begin - self.zero, self.format.rate
        ends = (min(start + self.format.samples, self.total) for start in self.starts)
        return [
            (offset + start / rate, offset + end / rate)
            for start, end in zip(self.starts, ends, strict=True)
        ]

    @property
    def until(self) -> list[float]:
        """Up to when each window is the one whose middle is nearest, seconds as a player shows."""
        middles = [(start + end) / 2 for start, end in self.spans]
        return [*((a + b) / 2 for a, b in pairwise(middles)), inf]


def cut(total: int, *, length: int, hop: int) -> tuple[int, ...]:
    """Say where windows start, the last one moved back to end with the whole.

    >>> cut(10, length=4, hop=3), cut(11, length=4, hop=3), cut(3, length=4, hop=3)
    ((0, 3, 6), (0, 3, 6, 7), (0,))
    """
    last = max(total - length, 0)
    return (*range(0, last, hop), last)


def open_film(path: str, format: ClipFormat, *, hop: int) -> Film:
    """Look where the windows of a file lie.

    Args:
        path: An mp4, mov, mkv, webm or avi file with picture and sound.
        format: How a clip looks to the model.
        hop: Samples from one window to the next.

    Returns:
        What is known of the file.

    Raises:
        ClipError: If it cannot be used.
    """
    with open_media(path) as media:
        begin, end = extent(media)
        first = (media.video.start_time or 0) * (media.video.time_base or 0)
    total = round((end - begin) * format.rate)
    if not 0 < total <= LONGEST * format.rate:
        hours = LONGEST // 3600
        raise ClipError(path, f"its sound lasts {end - begin:g} s, not between 0 and {hours} hours")
    starts = cut(total, length=format.samples, hop=hop)
    zero = min(begin, float(first))
    return Film(path=path, format=format, zero=zero, begin=begin, total=total, starts=starts)
