"""Log of skipped files, `skipped.csv`."""

from collections.abc import Iterable
from pathlib import Path

from avblocks.csvlog import CsvLog, read_csv, write_csv
from avblocks.data.batch import AVBatch, Skipped
from avblocks.data.dataset import TooManySkippedError

COLUMNS = ("path", "reason")


class SkippedFiles:
    """Append every skipped file once to `skipped.csv`; call it with each batch.

    A resumed run continues the list. All processes write to one file.

    Args:
        folder: Run folder.
        total: Number of files in the data set.
        max_skipped: Fraction of the files that may be skipped.
    """

    def __init__(self, folder: Path, *, total: int, max_skipped: float) -> None:
        self.path = folder / "skipped.csv"
        self.total = total
        self.max_skipped = max_skipped
        self.reasons: dict[str, str] = {}

    def __call__(self, batch: AVBatch) -> None:
        """List the skipped files of a batch.

        Raises:
            TooManySkippedError: If more than the allowed fraction was skipped.
        """
        new = {s.path: s.reason for s in batch.skipped if s.path not in self.reasons}
        if not new:
            return
        self.reasons |= self._read()  # of the run before, and of other processes
        new = {path: reason for path, reason in new.items() if path not in self.reasons}
        self.reasons |= new
        with CsvLog(self.path, COLUMNS, shared=True) as log:
            for path, reason in new.items():
                log.append({"path": path, "reason": reason})
        if len(self.reasons) > self.max_skipped * self.total:
            raise TooManySkippedError(
                f"{len(self.reasons)} of {self.total} clips cannot be used, more than "
                f"--data.max-skipped {self.max_skipped:g}; they are listed in {self.path}"
            )

    def summary(self) -> str:
        """Return a line with the number of skipped clips."""
        count = len(self._read())
        return f"skipped {count} of {self.total} clips" + (f": {self.path}" if count else "")

    def _read(self) -> dict[str, str]:
        return {row["path"]: row["reason"] for row in read_csv(self.path, needs=COLUMNS)[1]}


def write_skipped(path: Path, skipped: Iterable[Skipped]) -> None:
    """Write the list in sorted order, unless it is empty."""
    reasons = {skip.path: skip.reason for skip in skipped}
    if reasons:
        write_csv(path, COLUMNS, sorted(reasons.items()))
