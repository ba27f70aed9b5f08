"""`Record`: from readings to rows, stops and steps left out."""

from collections import deque

from recipes.engine.finite import Finite
from recipes.engine.log import Report
from recipes.engine.readings import Reading


class Record:
    """Looks at each step's reading and writes its row, at once or one step later.

    Args:
        report: Where the rows go; only process 0 has one.
        finite: Judges the readings.
        scaled: Whether a loss scaler looks after the gradients.
        late: Whether readings are left alone for a step, so that nobody waits for them.
    """

    def __init__(self, report: Report | None, finite: Finite, *, scaled: bool, late: bool) -> None:
        self.report, self.finite, self.scaled, self.late = report, finite, scaled, late
        self.signal = 0
        """The stop signal that any process has received, as far as the readings were looked at."""
        self.fault = ""
        """What is wrong with the reading looked at last."""
        self._pending: deque[Reading] = deque()

    def add(self, reading: Reading) -> None:
        """Take a step's reading, and look at it unless that is to be late."""
        self._pending.append(reading)
        if not self.late:
            self._look(reading)

    def write(self, *, everything: bool) -> None:
        """Write the rows of the steps that are done; with `everything`, of the last one too."""
        while self._pending:
            # What came before a stop is saved with it, so its last row is not left for later.
            wait = self.late and not everything and not self.signal
            if wait and len(self._pending) == 1:
                return
            reading = self._pending.popleft()
            if self.late:
                self._look(reading)
            self.signal = self.signal or reading.signal
            if self.report is not None and self.fault:
                self.report.left_out(reading.step, self.fault)
            elif self.report is not None:
                self.report.step(reading.step, reading.row)

    def _look(self, reading: Reading) -> None:
        self.fault = self.finite.fault(reading, scaled=self.scaled)
