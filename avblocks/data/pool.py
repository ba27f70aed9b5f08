"""Process pool for files that may crash or hang their reader."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import islice
from math import inf
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")


def imap_unordered(
    function: Callable[[T], R], tasks: Iterable[T], *, workers: int, limit: float
) -> Iterator[tuple[T, R | None, str]]:
    """Call a function for each task in other processes, and yield results as they arrive.

    Like `multiprocessing.pool.Pool.imap_unordered`, but a process that dies or exceeds the time
    limit loses only its current task and is replaced.

    Args:
        function: Function at the top level of a module; an error that it raises ends its process.
        tasks: Arguments of the calls.
        workers: Number of processes.
        limit: Time limit of a call, seconds.

    Yields:
        The task, its result and ""; or the task, `None` and the reason why there is no result.

    Raises:
        ValueError: If ``workers`` is below 1 or ``limit`` is not positive and finite.
        OSError: If a process ends during its start.
    """
    if workers < 1 or not 0 < limit < inf:
        raise ValueError(f"expected workers >= 1 and a limit above 0, got {workers} and {limit}")
    todo = iter(tasks)
    team = [_Worker(function, task) for task in islice(todo, workers)]
    try:
        while team:
            for worker in _due(team, limit):
                answer = worker.answer(limit)
                if answer is None:
                    continue
                yield worker.task, *answer
                # An empty list marks the end of the tasks, since a task may be `None`.
                following = list(islice(todo, 1))
                if following and not answer[1]:
                    worker.give(*following)
                    continue
                worker.stop()
                team.remove(worker)
                team += [_Worker(function, task) for task in following]
    finally:
        for worker in team:
            worker.stop()


def end_with_parent(*_: object) -> None:
    """Exit this process when its parent ends, even in the middle of other work.

    Also used as a ``worker_init_fn`` of a ``DataLoader``: a worker blocked on a full pipe would
    otherwise outlive its parent.
    """
    parent = parent_process()
    assert parent is not None, "this process was not started by multiprocessing"

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


class _Worker:
    """A process, the connection to it, and its current task."""

    def __init__(self, function: Callable[[Any], object], task: Any) -> None:
        # A fork is unsafe with threads, and a spawn starts a new interpreter for each bad file.
        context = get_context("forkserver")
        context.set_forkserver_preload([__name__, function.__module__])
        self.line, end = context.Pipe()
        self.process = context.Process(target=_serve, args=(function, end), daemon=True)
        self.process.start()
        end.close()
        self.give(task)
        self.since = inf  # until the process reports that it has started

    def give(self, task: Any) -> None:
        """Send a task to the process."""
        self.task, self.since = task, time.monotonic()
        with suppress(BrokenPipeError, ConnectionResetError):  # `answer` reports it
            self.line.send(task)

    def answer(self, limit: float) -> tuple[Any, str] | None:
        """Receive a result, or return why there is none; `None` if the process has just started."""
        if not self.line.poll():
            return None, f"not done in the {limit:g} s allowed"
        try:
            result = self.line.recv()
        except (EOFError, ConnectionResetError) as error:
            self.process.join()
            code = self.process.exitcode
            if self.since == inf:
                raise OSError(f"a process ended at its start, exit code {code}") from error
            return None, f"the process that read it died (exit code {code})"
        if self.since == inf:
            self.since = time.monotonic()
            return None
        return result, ""

    def stop(self) -> None:
        """Kill the process."""
        self.process.kill()
        self.process.join()
        self.line.close()


def _due(team: list[_Worker], limit: float) -> list[_Worker]:
    """Wait for workers that have an answer or have exceeded the time limit."""
    first = min(worker.since for worker in team) + limit
    patience = None if first == inf else max(first - time.monotonic(), 0)
    lines: list[Connection] = [worker.line for worker in team]
    ready = wait(lines, timeout=patience)
    now = time.monotonic()
    return [worker for worker in team if worker.line in ready or now - worker.since > limit]


def _serve(function: Callable[[Any], object], line: Connection) -> None:
    """Run tasks until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    end_with_parent()
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        line.send(None)
        while True:
            line.send(function(line.recv()))
