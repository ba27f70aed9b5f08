"""Processes for files: what one file costs, and that none of them is left behind."""

import multiprocessing
import time
from pathlib import Path

import pytest
from pool_functions import reads, writes_its_number

from avblocks.data import pool
from avblocks.data.pool import imap_unordered


def test_a_process_that_dies_or_hangs_costs_its_own_file_alone() -> None:
    paths = ["a", "dies 1", "b", "hangs", "c", "dies 2", "d"]
    start = time.monotonic()
    found = {
        path: (result, why)
        for path, result, why in imap_unordered(reads, paths, workers=2, limit=0.7)
    }
    assert time.monotonic() - start < 20
    assert {path for path, (result, _) in found.items() if result == path.upper()} == set("abcd")
    assert found["dies 1"] == (None, "the process that read it died (exit code -11)")
    assert found["hangs"] == (None, "not done in the 0.7 s allowed")
    assert len(found) == 7


def test_a_pool_that_is_left_ends_its_processes() -> None:
    found = imap_unordered(reads, ["a", "hangs"], workers=2, limit=100)
    assert next(found) == ("a", "A", "")
    start = time.monotonic()
    found.close()
    assert time.monotonic() - start < 5
    assert list(imap_unordered(reads, [], workers=3, limit=1)) == []
    with pytest.raises(ValueError, match="workers >= 1"):
        next(imap_unordered(reads, ["a"], workers=0, limit=1))
    for limit in (0.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=f"a limit above 0, got 1 and {limit}"):
            next(imap_unordered(reads, ["a"], workers=1, limit=limit))


def test_tasks_are_of_any_kind() -> None:
    tasks = [(1, "a"), None, 3.5]
    found = list(imap_unordered(repr, tasks, workers=2, limit=60))
    assert sorted(map(str, found)) == sorted(str((task, repr(task), "")) for task in tasks)


def test_an_error_costs_its_own_task() -> None:
    found = dict(zip("ab", "??", strict=True))
    for task, result, reason in imap_unordered(len, ["a", 1, "bc"], workers=1, limit=60):
        found[str(task)] = result, reason
    assert found["a"] == (1, "") and found["bc"] == (2, "")
    assert found["1"] == (None, "the process that read it died (exit code 1)")


def ask(folder: Path) -> None:
    # Forks have nothing to import again.
    pool.get_context = lambda _: multiprocessing.get_context("fork")  # type: ignore[assignment]
    tasks = [folder / "0", folder / "1"]
    list(imap_unordered(writes_its_number, tasks, workers=2, limit=1000))


def is_running(process: int) -> bool:
    path = Path(f"/proc/{process}/stat")
    return path.is_file() and path.read_text().rpartition(")")[2].split()[0] != "Z"


def test_processes_end_with_the_one_that_asks_even_if_they_hang(tmp_path: Path) -> None:
    asks = multiprocessing.get_context("fork").Process(target=ask, args=(tmp_path,))
    asks.start()
    end = time.monotonic() + 60
    while len(numbers := list(tmp_path.glob("?"))) < 2 and time.monotonic() < end:
        time.sleep(0.05)
    workers = [int(path.read_text()) for path in numbers]
    assert len(workers) == 2 and all(map(is_running, workers))
    asks.kill()
    asks.join()
    end = time.monotonic() + 10
    while any(map(is_running, workers)) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(map(is_running, workers))
