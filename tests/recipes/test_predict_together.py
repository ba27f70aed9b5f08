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

    def pairs(*both: Iterator[int]) -> list[tuple[int, ...]]:
        return list(zip(*both, strict=True))

    # The third leaves after an item.
    jobs = [([0], sum), ([0], list), ([0], next), ([1], max), ([0, 1], pairs), ([0, 0], pairs)]
    numbers = list(range(9))
    joined = [[(n, n + 5) for n in numbers], [(n, n) for n in numbers]]
    assert run_together([stream(0), stream(5)], jobs) == [36, numbers, 0, 13, *joined]
    assert sorted(runs) == [0, 5]


@pytest.mark.parametrize("place", ["job", "stream"])
def test_an_error_ends_all_jobs(place: str) -> None:
    def fails(items: Iterator[int]) -> int:
        raise ValueError(f"no good: {next(items)}")

    def broken() -> Iterator[int]:
        yield 1
        raise ValueError("no good: 1")

    before = active_count()
    other, job = (iter([7, 8]), fails) if place == "job" else (broken(), sum)
    with pytest.raises(ValueError, match="no good"):
        run_together([count(), other], [([0], sum), ([1], job)])
    assert active_count() == before
