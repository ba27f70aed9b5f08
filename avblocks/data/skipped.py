"""The list of files that a run could not use."""

import csv
from pathlib import Path

from avblocks.data import AVBatch, TooManySkippedError

_COLUMNS = ("path", "reason")


class SkippedFiles:
    """Notes every skipped file once, in `skipped.csv` as soon as it is met.

    A resumed run goes on with the list of the run before it. All processes write to one file.

    Args:
        folder: The run folder.
        total: Files in the data set.
        max_skipped: Share of them that may be skipped.
    """

    def __init__(self, folder: Path, *, total: int, max_skipped: float) -> None:
        self.path = folder / "skipped.csv"
        self.total = total
        self.max_skipped = max_skipped
        self.reasons: dict[str, str] = {}

    def __call__(self, batch: AVBatch) -> None:
        """Note the skipped files of a batch.

        Raises:
            TooManySkippedError: If more than the allowed share was skipped.
        """
        new = {s.path: s.reason for s in batch.skipped if s.path not in self.reasons}
        if not new:
            return
        self.reasons |= self._read()  # of the run before, and of other processes
        new = {path: reason for path, reason in new.items() if path not in self.reasons}
        self.reasons |= new
        self._append(new)
        if len(self.reasons) > self.max_skipped * self.total:
            raise TooManySkippedError(
                f"{len(self.reasons)} of {self.total} clips cannot be used, more than "
                f"--data.max-skipped {self.max_skipped:g}; they are listed in {self.path}"
            )

    def summary(self) -> str:
        """Say in one line what was skipped."""
        count = len(self._read())
        return f"skipped {count} of {self.total} clips" + (f": {self.path}" if count else "")

    def _read(self) -> dict[str, str]:
        if not self.path.is_file():
            return {}
        with self.path.open(newline="", encoding="utf-8") as file:
            return {row["path"]: row["reason"] for row in csv.DictReader(file)}

    def _append(self, new: dict[str, str]) -> None:
        fresh = not self.path.is_file()
        with self.path.open("a", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerows(([_COLUMNS] if fresh else []) + list(new.items()))
