"""`each`: a function of many files on all cores, where no file can end or hang the whole."""

import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import islice
from math import inf
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

R = TypeVar("R")


def each(
    function: Callable[[str], R], paths: Iterable[str], *, workers: int, limit: float
) -> Iterator[tuple[str, R | None, str]]:
    """Call a function for each path, in other processes, and give the results as they come.

    A process that dies, or is not done in time, costs its own path alone: another takes its place.

    Args:
        function: What to call; a module has it by its name.
        paths: What to call it with.
        workers: Processes.
        limit: Seconds that one call may take.

    Yields:
        The path, its result and an empty reason; or `None` and the reason why there is none.

    Raises:
        ValueError: If there are no workers or there is no time.
        OSError: If a process ends before it has begun.
    """
    if workers < 1 or limit <= 0:
        raise ValueError(f"expected workers >= 1 and a limit above 0, got {workers} and {limit}")
    todo = iter(paths)
    team = [_Worker(function, path) for path in islice(todo, workers)]
    try:
        while team:
            for worker in _due(team, limit):
                answer = worker.hear(limit)
                if answer is None:
                    continue
                yield worker.path, *answer
                path = next(todo, None)
                if path is not None and not answer[1]:
                    worker.give(path)
                    continue
                worker.stop()
                team.remove(worker)
                team += [] if path is None else [_Worker(function, path)]
    finally:
        for worker in team:
            worker.stop()


class _Worker:
    """A process, the line to it, and the path it is at."""

    def __init__(self, function: Callable[[str], object], path: str) -> None:
        # Neither a fork of a process with threads, nor a whole new interpreter for each bad file.
        context = get_context("forkserver")
        context.set_forkserver_preload([function.__module__])
        self.line, end = context.Pipe()
        self.process = context.Process(target=_serve, args=(function, end), daemon=True)
        self.process.start()
        end.close()
        self.give(path)
        self.since = inf  # until it says that it has begun

    def give(self, path: str) -> None:
        """Hand over a path."""
        self.path, self.since = path, time.monotonic()
        with suppress(BrokenPipeError, ConnectionResetError):  # `hear` tells of it
            self.line.send(path)

    def hear(self, limit: float) -> tuple[Any, str] | None:
        """Take an answer, or say why there will be none; `None` if it has only just begun."""
        if not self.line.poll():
            return None, f"not done in the {limit:g} s allowed"
        try:
            answer = self.line.recv()
        except (EOFError, ConnectionResetError) as error:
            self.process.join()
            code = self.process.exitcode
            if self.since == inf:
                raise OSError(f"a process ended at its start, exit code {code}") from error
            return None, f"the process that read it died (exit code {code})"
        if self.since == inf:
            self.since = time.monotonic()
            return None
        return answer, ""

    def stop(self) -> None:
        """End the process, whatever it is at."""
        self.process.kill()
        self.process.join()
        self.line.close()


def _due(team: list[_Worker], limit: float) -> list[_Worker]:
    """Wait for those that have something to say, or have had their time."""
    first = min(worker.since for worker in team) + limit
    patience = None if first == inf else max(first - time.monotonic(), 0)
    lines: list[Connection] = [worker.line for worker in team]
    heard = wait(lines, timeout=patience)
    now = time.monotonic()
    return [worker for worker in team if worker.line in heard or now - worker.since > limit]


def _serve(function: Callable[[str], object], line: Connection) -> None:
    """Answer until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asks
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        line.send(None)
        while True:
            line.send(function(line.recv()))
