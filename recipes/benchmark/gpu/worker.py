"""`Worker`: a process that measures rows one after the other, and can be stopped."""

import gc
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any, Self

import torch

from recipes.benchmark.measure import guarded


class Worker:
    """A process with torch and the device initialized, so that rows do not include their start.

    After an error, the next row gets a new process, since device faults persist in a process. Use
    it as a context manager.

    Args:
        method: Start method of `multiprocessing`; "fork" does not work with CUDA.
    """

    def __init__(self, *, method: str = "spawn") -> None:
        self._context: Any = multiprocessing.get_context(method)
        self._process: Any = None
        self._pipe: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def call(
        self, function: Callable[..., dict[str, Any]], *args: Any, seconds: float
    ) -> dict[str, Any]:
        """Call a function in the process with a time limit; an error is returned as `error`."""
        if self._process is None:
            self._start()
        self._pipe.send((function, args))
        found = self._answer(seconds)
        if "error" in found:
            self.stop()
        return found

    def stop(self) -> None:
        """End the process and its children."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.join()
            self._pipe.close()
            self._process = None

    def _start(self) -> None:
        self._pipe, theirs = self._context.Pipe()
        self._process = self._context.Process(target=_serve, args=(theirs,))
        self._process.start()
        theirs.close()
        self._pipe.recv()  # the process leads a group of its own now

    def _answer(self, seconds: float) -> dict[str, Any]:
        if not self._pipe.poll(seconds):
            return {"error": f"stopped after {seconds:.0f} s"}
        try:
            return self._pipe.recv()
        except EOFError:
            return {"error": "the process was killed, mostly for want of memory"}


def _serve(pipe: Connection) -> None:
    os.setsid()  # loaders' processes belong to the same group, and end with it
    pipe.send("ready")
    with suppress(EOFError):
        while True:
            function, args = pipe.recv()
            _forget()
            pipe.send(guarded(function, *args))


def _forget() -> None:
    """Reset memory, its peak, and compiled code after a row."""
    if "torch._dynamo" in sys.modules:  # importing it takes seconds
        torch._dynamo.reset()
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
