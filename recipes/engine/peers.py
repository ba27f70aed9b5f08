"""Processes of a run on one machine, which end together when one of them dies.

Left alone, a backend of `torch.distributed` reports the death of another process by a traceback, or
waits for it until its timeout.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:  # importing Lightning takes seconds, which `--help` should not cost
    from lightning.fabric import Fabric

EVERY = 0.5  # seconds between looks at the process that started this one
PATIENCE = 5.0  # seconds after a backend's error within which the reason must be known


class Peers:
    """The other processes that Fabric launched on this machine, each watched by a thread.

    A process that torchrun or SLURM started is watched by those.
    """

    def __init__(self, fabric: "Fabric") -> None:
        from lightning.fabric.plugins.environments.lightning import LightningEnvironment

        started = getattr(fabric.strategy.launcher, "procs", ())
        self._children: list[subprocess.Popen[bytes]] = list(started)
        self._parent = os.getppid()
        self._ending = False
        self._lock = threading.Lock()
        environment = getattr(fabric.strategy, "cluster_environment", None)
        if isinstance(environment, LightningEnvironment) and fabric.local_rank:
            threading.Thread(target=self._watch_parent, daemon=True).start()
        for rank, child in enumerate(self._children, start=1):
            threading.Thread(target=self._watch, args=(rank, child), daemon=True).start()

    def release(self) -> None:
        """Watch no longer: the processes are about to end, in whatever order."""
        self._ending = True

    def settle(self) -> None:
        """Wait after a backend's error for the watcher to end this process, if another has died."""
        if not self._ending:
            time.sleep(PATIENCE)

    def end(self) -> None:
        """End the processes that this one has started; it has said why."""
        self._ending = True
        for child in self._children:
            child.kill()

    def _watch(self, rank: int, child: "subprocess.Popen[bytes]") -> None:
        try:  # without taking the exit code from those who ask for it too
            found = os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
            assert found is not None
            killed, code = found.si_code != os.CLD_EXITED, found.si_status
        except ChildProcessError:
            killed, code = False, child.wait()
        if killed:
            self._leave(f"process {rank} died ({signal.Signals(code).name})")
        elif code:
            self._leave(f"process {rank} ended with exit code {code}")

    def _watch_parent(self) -> None:
        while os.getppid() == self._parent:
            time.sleep(EVERY)
        self._leave("process 0 died")

    def _leave(self, what: str) -> None:
        """Say what has happened, and end this process and those that it has started."""
        with self._lock:
            if self._ending:
                return
            self.end()
            self._say_and_exit(what)

    def _say_and_exit(self, what: str) -> NoReturn:
        remedy = "all others end; go on with --run.resume"
        print(f"error: {what} of the run: {remedy}", file=sys.stderr, flush=True)
        os._exit(2)  # the main thread may wait for the dead one
