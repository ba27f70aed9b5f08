"""The list of files that are in no shard."""

import csv
from collections.abc import Iterable
from pathlib import Path

from avblocks.data.batch import Skipped
from avblocks.files import replacing

_COLUMNS = ("path", "reason")


class SkipList:
    """Files that could not be used and why, by name.

    Args:
        path: The csv file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.reasons: dict[str, str] = {}

    def add(self, skipped: Iterable[Skipped]) -> None:
        """Note some files."""
        self.reasons |= {skip.path: skip.reason for skip in skipped}

    def write(self) -> None:
        """Write the whole list in sorted order, if there is anything in it."""
        if not self.reasons:
            return
        with replacing(self.path) as half, half.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([_COLUMNS, *sorted(self.reasons.items())])
