"""Run several jobs in threads that read one stream of batches, which is decoded once."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import closing
from queue import Empty, Full, Queue
from threading import Event
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")

_AHEAD = 2  # batches that wait for each job, at most
_LOOK = 0.1  # seconds after which a thread that waits looks whether it is to stop
_END = object()


class StoppedError(Exception):
    """Another job failed, or the program is to end."""


class Feed(Iterator[T]):
    """Queue from a stream to one job; closed when the job ends."""

    def __init__(self, stop: Event) -> None:
        self.queue: Queue[Any] = Queue(_AHEAD)
        self.stop, self.closed = stop, Event()

    def put(self, item: Any) -> None:
        """Wait until there is room for an item, unless the job is over.

        Raises:
            StoppedError: If the other jobs are to stop.
        """
        while not self.closed.is_set():
            if self.stop.is_set():
                raise StoppedError
            try:
                return self.queue.put(item, timeout=_LOOK)
            except Full:
                pass

    def __next__(self) -> T:
        while not self.stop.is_set():
            try:
                item = self.queue.get(timeout=_LOOK)
            except Empty:
                continue
            if item is _END:
                raise StopIteration
            return item
        raise StoppedError

    def close(self) -> None:
        """Mark the job as finished."""
        self.closed.set()


def run_together(
    groups: Sequence[tuple[Iterable[T], Sequence[Callable[[Iterator[T]], R]]]],
) -> list[list[R]]:
    """Run all jobs of all groups in parallel; the jobs of a group share a stream, which runs once.

    Args:
        groups: A stream, and the jobs that are called with what they read of it.

    Returns:
        The results of the jobs of each group.

    Raises:
        Exception: The first that a stream or a job raised; all others are stopped.
    """
    stop = Event()
    count = sum(1 + len(jobs) for _, jobs in groups)
    with ThreadPoolExecutor(count) as pool:
        try:
            running, results = [], []
            for stream, jobs in groups:
                feeds = [Feed[T](stop) for _ in jobs]
                running.append(pool.submit(_pump, stream, feeds))
                pairs = zip(jobs, feeds, strict=True)
                results.append([pool.submit(_run, job, feed) for job, feed in pairs])
            running += [future for each in results for future in each]
            done, _ = wait(running, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
        finally:
            stop.set()
    return [[future.result() for future in each] for each in results]


def _pump(stream: Iterable[T], feeds: Sequence[Feed[T]]) -> None:
    for item in stream:
        if all(feed.closed.is_set() for feed in feeds):
            return
        for feed in feeds:
            feed.put(item)
    for feed in feeds:
        feed.put(_END)


def _run(job: Callable[[Iterator[T]], R], feed: Feed[T]) -> R:
    with closing(feed):
        return job(feed)
