"""Processes of a run, which end together when one of them dies.

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

from torch import distributed
from torch.distributed.distributed_c10d import _get_default_store

from recipes.engine.heartbeat import Heartbeat

if TYPE_CHECKING:  # importing Lightning takes seconds, which `--help` should not cost
    from lightning.fabric import Fabric

EVERY = 0.5  # seconds between looks at the process that started this one
PATIENCE = 5.0  # seconds after a backend's error within which the reason must be known


class Peers:
    """The other processes: those that Fabric launched on this machine are watched by a thread each.

    Where torchrun, SLURM or the user started them, on one machine or several, there is a
    `Heartbeat`.
    """

    def __init__(self, fabric: "Fabric") -> None:
        from lightning.fabric.plugins.environments.lightning import LightningEnvironment

        started = getattr(fabric.strategy.launcher, "procs", ())
        self._children: list[subprocess.Popen[bytes]] = list(started)
        self._parent = os.getppid()
        self._ending = False
        self._lock = threading.Lock()
        self._heartbeat: Heartbeat | None = None
        environment = getattr(fabric.strategy, "cluster_environment", None)
        launched = isinstance(environment, LightningEnvironment)
        alone = launched and getattr(fabric.strategy, "num_nodes", 1) == 1
        if distributed.is_initialized() and not alone:
            rank, world = fabric.global_rank, fabric.world_size
            store = _get_default_store().clone()  # the backend's own connection waits for others
            self._heartbeat = Heartbeat(store, rank=rank, world=world, ended=self._leave)
        if launched and fabric.local_rank:
            threading.Thread(target=self._watch_parent, daemon=True).start()
        for rank, child in enumerate(self._children, start=1):
            threading.Thread(target=self._watch, args=(rank, child), daemon=True).start()

    def release(self) -> None:
        """Watch no longer: the processes are about to end, in any order."""
        self._ending = True
        if self._heartbeat is not None:
            self._heartbeat.stop()

    def settle(self) -> None:
        """Wait after a backend's error for the watcher to end this process, if another has died."""
        if not self._ending:
            time.sleep(PATIENCE)

    def end(self) -> None:
        """End the other processes, before this one says why.

        Raises:
            SystemExit: If another one has said why.
        """
        self.release()
        self._kill()
        if self._heartbeat is not None and not self._heartbeat.claim():
            raise SystemExit(2)

    def _kill(self) -> None:
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
            self._leave(f"process {rank} of the run died ({signal.Signals(code).name})")
        elif code:
            self._leave(f"process {rank} of the run ended with exit code {code}")

    def _watch_parent(self) -> None:
        while os.getppid() == self._parent:
            time.sleep(EVERY)
        self._leave("process 0 of the run died")

    def _leave(self, what: str | None) -> None:
        """Say what has happened, if that is known, and end this process and its children."""
        with self._lock:
            if self._ending:
                return
            self._ending = True
            self._kill()
            self._say_and_exit(what)

    def _say_and_exit(self, what: str | None) -> NoReturn:
        if what is not None:
            remedy = "all others end; continue with --run.resume"
            print(f"error: {what}: {remedy}", file=sys.stderr, flush=True)
        os._exit(2)  # the main thread may wait for the dead one
