"""Files that are whole or not there: one durable writer, checksums, and CSV files that grow."""

import csv
import hashlib
import io
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

Row = Mapping[str, str]
"""The cells of a row by column."""
# File names are bytes: those that are not UTF-8 are written as they are.
_TEXT: dict[str, Any] = {"encoding": "utf-8", "errors": "surrogateescape", "newline": ""}


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary name in the same folder, which replaces ``path`` once it is on disk.

    The file is forced to disk, renamed, and the name forced to disk: after a kill or a power cut
    the old file is there or the new one. After an error the old one is.

    Args:
        path: File to write; its folder is made if needed.

    Yields:
        The temporary name.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield half
        sync(half)
        half.replace(path)
        sync(path.parent)
    finally:
        half.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write a text file as `replacing` does."""
    with replacing(path) as half, half.open("w", **_TEXT) as file:
        file.write(text)


def sync(path: Path) -> None:
    """Force a file, or the names in a folder, to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sha256(path: Path) -> str:
    """Return the checksum of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(path: Path) -> dict[str, int | str]:
    """Return the length and checksum of a file, to tell whether it is the one that was written."""
    return {"bytes": path.stat().st_size, "sha256": sha256(path)}


def write_csv(path: str | Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a CSV file as `replacing` does."""
    with replacing(path) as half, half.open("w", **_TEXT) as file:
        csv.writer(file, lineterminator="\n").writerows([columns, *rows])


def read_csv(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Read the columns and the rows of a CSV file; a last row that a kill cut off is not a row.

    Returns:
        Columns and rows, both empty if there is no such file.

    Raises:
        ValueError: If another row has more or fewer cells than there are columns.
    """
    if not path.is_file():
        return [], []
    text = path.read_bytes().decode(encoding="utf-8", errors="surrogateescape")
    reader = csv.reader(io.StringIO(text[: text.rfind("\n") + 1], newline=""))
    lines = [(reader.line_num, cells) for cells in reader]
    if not lines:
        return [], []
    columns = lines.pop(0)[1]
    # A cell may hold a line's end, so that a row cut inside of it still ends a line.
    if lines and len(lines[-1][1]) < len(columns):
        lines.pop()
    for number, cells in lines:
        if len(cells) != len(columns):
            raise ValueError(
                f"{path}, line {number}: {len(cells)} cells, expected {len(columns)}: mend or "
                "delete the file"
            )
    return columns, [dict(zip(columns, cells, strict=True)) for _, cells in lines]


class CsvLog:
    """Rows in a CSV file that grows: what was flushed survives a kill, and a new cell a new column.

    Args:
        path: The file; rows that it holds are kept, except a last one that a kill cut off.
        columns: Columns to begin with.
        rows: What the file is to hold in place of its own rows, if given.
        shared: Whether other processes write to the same file: a file that is there is then only
            appended to.

    Raises:
        ValueError: If the file is damaged.
    """

    def __init__(
        self,
        path: Path,
        columns: Sequence[str] = (),
        *,
        rows: Iterable[Row] | None = None,
        shared: bool = False,
    ) -> None:
        self.path = path
        found, kept = read_csv(path) if rows is None else ([], [dict(row) for row in rows])
        self.columns = list(dict.fromkeys([*found, *columns, *(k for row in kept for k in row)]))
        if shared and found:
            self._open()
        else:
            self._write(kept)

    def __enter__(self) -> "CsvLog":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def append(self, row: Row) -> None:
        """Add a row, and hand it over to the system, where a kill of this process leaves it."""
        if new := [name for name in row if name not in self.columns]:
            self.close()
            self.columns += new
            self._write([*read_csv(self.path)[1], row])
            return
        self._lines.writerow([row.get(name, "") for name in self.columns])
        self._file.flush()

    def flush(self) -> None:
        """Force all rows to disk."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Force all rows to disk, and end."""
        self.flush()
        self._file.close()

    def _write(self, rows: Iterable[Row]) -> None:
        cells = ([row.get(name, "") for name in self.columns] for row in rows)
        write_csv(self.path, self.columns, cells)
        self._open()

    def _open(self) -> None:
        self._file: IO[str] = self.path.open("a", **_TEXT)
        self._lines = csv.writer(self._file, lineterminator="\n")
