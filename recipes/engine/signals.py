"""Stop signals, after which a run saves and exits, and requeueing of SLURM jobs."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType

from avblocks.checkpoint import saves as _saves
from recipes.engine.console import discard
from recipes.engine.run import Run

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)


class StopSignals:
    """Record the first stop signal; a second one has its default effect."""

    def __init__(self) -> None:
        self.received = 0
        self._process = os.getpid()
        self._before = {number: signal.getsignal(number) for number in STOPS}
        if self._before[signal.SIGHUP] == signal.SIG_IGN:  # by nohup: the run must continue
            del self._before[signal.SIGHUP]
        self._terminals = [stream for stream in (1, 2) if os.isatty(stream)]

    def listen(self, *, restore: bool = False) -> None:
        """Install the signal handlers, or restore the previous ones; only in the main thread."""
        if threading.current_thread() is threading.main_thread():
            for number, handler in self._before.items():
                signal.signal(number, handler if restore else self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        default = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
        if number == signal.SIGHUP:
            default = signal.SIG_IGN  # a closed terminal sends it twice, also through its shell
            self._drop_terminals()
        signal.signal(number, default)
        if os.getpid() == self._process:
            self.received = number
        elif number == signal.SIGTERM:  # loader workers inherit the handler, and must end
            os.kill(os.getpid(), number)

    def _drop_terminals(self) -> None:
        """Discard further output, since writing to a closed terminal is an error."""
        for stream in self._terminals:
            discard(stream)


@contextmanager
def leaving_in_order() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into errors in the block, so that temporary files are removed."""
    numbers = [n for n in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) == signal.SIG_DFL]
    if threading.current_thread() is not threading.main_thread():
        numbers = []

    def leave(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    for number in numbers:
        signal.signal(number, leave)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


def resume_if_requeued(run: Run, saves: Path) -> Run:
    """Turn `resume` on if SLURM has requeued this job and there are checkpoints."""
    again = int(os.environ.get("SLURM_RESTART_COUNT") or 0) > 0
    return replace(run, resume=True) if again and _saves.exists(saves) else run


def requeue(number: int) -> str:
    """Requeue the SLURM job after SIGUSR1, the signal that SLURM sends for this.

    Returns the outcome in a line; empty if there is nothing to do.
    """
    from lightning.fabric.plugins.environments.slurm import SLURMEnvironment

    environment = SLURMEnvironment()
    if not SLURMEnvironment.detect() or not environment.auto_requeue or number != signal.SIGUSR1:
        return ""
    job = os.environ.get("SLURM_JOB_ID", "")
    if "SLURM_ARRAY_JOB_ID" in os.environ:
        job = f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ.get('SLURM_ARRAY_TASK_ID', '')}"
    if not re.fullmatch(r"[0-9]+(_[0-9]+)?", job):
        return f"not put back in the queue: SLURM's variables name no job, but {job!r}"
    try:
        done = subprocess.run(["scontrol", "requeue", job], capture_output=True, text=True)
    except OSError as error:
        return f"job {job} is not back in the queue: {error}"
    if done.returncode:
        return f"job {job} is not back in the queue: {done.stderr.strip() or done.returncode}"
    return f"job {job} is back in the queue, and will resume by itself"
