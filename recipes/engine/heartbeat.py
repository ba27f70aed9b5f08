"""Signs of life between the processes of a run, for those that torchrun, SLURM or a user started.

A backend of `torch.distributed` notices the death of a process at its timeout, of ten minutes or
more, and a launcher sees those of its own machine, if it looks at all.
"""

import threading
import time
from collections.abc import Callable
from itertools import count

from torch._C._distributed_c10d import PrefixStore, Store

EVERY = 1.0  # seconds from one sign to the next
MISSED = 60  # signs in a row; a thread may wait as long as C code holds the interpreter
_ENDED = "ended"


class Heartbeat:
    """A thread that tells the others that this process lives, and listens to the next one.

    So the store has the same load from each process, however many there are. Missed signs are
    counted and not seconds: a run that is suspended as a whole goes on afterwards.

    Args:
        store: That at which the processes have met.
        rank: Number of this process.
        world: Number of processes.
        ended: Called once if the run is over, with the reason if it is for this process to say it,
            and None if another one does.
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
        """Listen no longer: the processes are about to end, in whatever order."""
        self._stopped.set()

    def claim(self) -> bool:
        """Tell the others that the run is over; False if another process already has."""
        try:
            first = self._store.compare_set(_ENDED, "", str(self._rank)) == str(self._rank).encode()
        except RuntimeError:  # the store ended with its process
            return True
        time.sleep(2 * EVERY)  # the store may end with this process, and all are to read it
        return first

    def _run(self) -> None:
        try:
            reason = self._listen()
        except RuntimeError:
            reason = "process 0 of the run died or cannot be reached"
        if not self._stopped.is_set():
            self._ended(reason)

    def _listen(self) -> str | None:
        """Return when the run is over, with the reason if this process is the first to know."""
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
                silence = f"gave no sign of life for {MISSED * EVERY:g} s"
                return f"process {self._next} of the run {silence}" if self.claim() else None
        return None
