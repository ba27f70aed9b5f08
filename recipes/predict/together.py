"""Run several jobs in threads that read streams of batches, each of which is decoded once."""

from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, closing, contextmanager
from queue import Empty, Full, Queue
from threading import Event
from typing import Any, TypeVar

import torch

T = TypeVar("T")
R = TypeVar("R")
S = TypeVar("S", bound=Sized)

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
    streams: Sequence[Iterable[T]], jobs: Sequence[tuple[Sequence[int], Callable[..., R]]]
) -> list[R]:
    """Run all jobs in parallel; each stream runs once, and each of its jobs reads all of it.

    Args:
        streams: What the jobs read.
        jobs: The numbers of the streams that a job reads, and the function that is called with an
            iterator over each of them. It must read several at about the same pace.

    Returns:
        The results of the jobs.

    Raises:
        Exception: The first that a stream or a job raised; all others are stopped.
    """
    stop = Event()
    with ThreadPoolExecutor(len(streams) + len(jobs)) as pool:
        try:
            feeds = [[Feed[T](stop) for _ in numbers] for numbers, _ in jobs]
            results = [
                pool.submit(_run, job, some) for (_, job), some in zip(jobs, feeds, strict=True)
            ]
            running: list[Future[Any]] = [*results]
            for number, stream in enumerate(streams):
                mine = [
                    feed
                    for (numbers, _), some in zip(jobs, feeds, strict=True)
                    for n, feed in zip(numbers, some, strict=True)
                    if n == number
                ]
                running.append(pool.submit(_pump, stream, mine))
            done, _ = wait(running, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
        finally:
            stop.set()
    return [future.result() for future in results]


def report(
    streams: Sequence[Iterable[S]], on_batch: Callable[[int, int], None], *, total: int
) -> list[Iterator[S]]:
    """Call a function with the number of items that several streams have yielded, and the total.

    >>> (stream,) = report([[["a", "b"], ["c"]]], print, total=3)
    >>> list(stream)
    2 3
    3 3
    [['a', 'b'], ['c']]
    """
    done = 0

    def follow(stream: Iterable[S]) -> Iterator[S]:
        nonlocal done
        for batch in stream:
            done += len(batch)
            on_batch(done, total)
            yield batch

    return [follow(stream) for stream in streams]


@contextmanager
def share_cores(jobs: int) -> Iterator[None]:
    """Divide the cores among jobs: otherwise each uses all of them, and waits for the others."""
    before = torch.get_num_threads()
    torch.set_num_threads(max(before // max(jobs, 1), 1))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _pump(stream: Iterable[T], feeds: Sequence[Feed[T]]) -> None:
    for item in stream:
        if all(feed.closed.is_set() for feed in feeds):
            return
        for feed in feeds:
            feed.put(item)
    for feed in feeds:
        feed.put(_END)


def _run(job: Callable[..., R], feeds: Sequence[Feed[T]]) -> R:
    with ExitStack() as stack:
        return job(*(stack.enter_context(closing(feed)) for feed in feeds))
