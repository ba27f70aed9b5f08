"""Jobs that read one stream at a time: each gets all of it, and one that fails stops the others."""

from collections.abc import Iterator
from itertools import count
from threading import active_count

import pytest

from recipes.predict.together import run_together


def test_a_stream_runs_once_and_each_job_reads_all_of_it() -> None:
    runs: list[int] = []

    def stream(number: int) -> Iterator[int]:
        runs.append(number)
        yield from range(number, number + 9)

    groups = [(stream(0), [sum, list, next]), (stream(5), [max])]  # one leaves after an item
    assert run_together(groups) == [[36, list(range(9)), 0], [13]]
    assert sorted(runs) == [0, 5]


@pytest.mark.parametrize("place", ["job", "stream"])
def test_an_error_ends_all_jobs(place: str) -> None:
    def fails(items: Iterator[int]) -> int:
        raise ValueError(f"no good: {next(items)}")

    def broken() -> Iterator[int]:
        yield 1
        raise ValueError("no good: 1")

    before = active_count()
    endless = (count(), [sum])
    with pytest.raises(ValueError, match="no good"):
        run_together([endless, (iter([7, 8]), [fails]) if place == "job" else (broken(), [sum])])
    assert active_count() == before
