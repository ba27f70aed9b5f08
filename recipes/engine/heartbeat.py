"""Heartbeats between the processes of a run, for processes started by torchrun, SLURM or a user.

A backend of `torch.distributed` detects the death of a process only at its timeout, of ten minutes
or more, and a launcher monitors only the processes on its own machine, if any.
"""

import threading
import time
from collections.abc import Callable
from itertools import count

from torch.distributed.distributed_c10d import PrefixStore, Store

EVERY = 1.0  # seconds between heartbeats
MISSED = 60  # consecutive missed heartbeats; C code may block the threads for long
_ENDED = "ended"


class Heartbeat:
    """A thread that sends heartbeats of this process, and monitors those of the next one.

    The load of the store per process does not depend on the number of processes. Missed heartbeats
    are counted instead of seconds, so that a run that was suspended as a whole continues.

    Args:
        store: The store of the process group.
        rank: Rank of this process.
        world: Number of processes.
        ended: Called once if the run is over, with the reason if this process is to print it, and
            with None if another process does.
    """

    def __init__(
        self, store: Store, *, rank: int, world: int, ended: Callable[[str | None], object]
    ) -> None:
        self._store = PrefixStore("heartbeat", store)
        self._rank, self._next = rank, (rank + 1) % world
        self._ended = ended
        self._stopped = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    def stop(self) -> None:
        """Stop monitoring: the processes are about to end, in any order."""
        self._stopped.set()

    def claim(self) -> bool:
        """Announce that the run is over; False if another process already has."""
        try:
            first = self._store.compare_set(_ENDED, "", str(self._rank)) == str(self._rank).encode()
        except RuntimeError:  # the store ended with its process
            return True
        time.sleep(2 * EVERY)  # the store may end with this process; let all others read it first
        return first

    def _run(self) -> None:
        try:
            reason = self._listen()
        except RuntimeError:
            reason = "process 0 of the run died or cannot be reached"
        if not self._stopped.is_set():
            self._ended(reason)

    def _listen(self) -> str | None:
        """Wait until the run is over; return the reason if this process is the first to know."""
        heard, missed = b"", 0
        for beat in count():
            self._store.set(str(self._rank), str(beat))
            if self._stopped.wait(EVERY):
                break
            if self._store.check([_ENDED]):
                time.sleep(EVERY)
                break
            known = self._store.check([str(self._next)])
            last, heard = heard, self._store.get(str(self._next)) if known else b""
            missed = missed + 1 if heard == last else 0
            if missed >= MISSED:
                silence = f"sent no heartbeat for {MISSED * EVERY:g} s"
                return f"process {self._next} of the run {silence}" if self.claim() else None
        return None
