"""Signals that ask a run to save and leave."""

import os
import signal
import threading
from types import FrameType

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


class StopSignals:
    """Remembers the first stop signal; a second one acts as if nobody listened."""

    def __init__(self) -> None:
        self.received = 0
        self._process = os.getpid()
        self._before = {number: signal.getsignal(number) for number in STOPS}

    def listen(self) -> None:
        """Take over the signals; only the main thread can."""
        if threading.current_thread() is threading.main_thread():
            for number in STOPS:
                signal.signal(number, self._note)

    def restore(self) -> None:
        """Give the signals back to whoever had them when this was made."""
        if threading.current_thread() is threading.main_thread():
            for number, handler in self._before.items():
                signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        default = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
        signal.signal(number, default)
        if os.getpid() == self._process:
            self.received = number
        elif number == signal.SIGTERM:  # a loader's worker inherits the handler, and must end
            os.kill(os.getpid(), number)
