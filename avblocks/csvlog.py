"""CSV files: read, written atomically, and appended to as logs that survive a kill."""

import csv
import fcntl
import io
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from avblocks.files import TEXT, naming, replacing

Row = Mapping[str, str]
"""The cells of a row by column."""
_MEND = "mend or delete the file"


def write_csv(path: str | Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV file atomically, see `replacing`; without a header if ``columns`` is empty."""
    with replacing(path) as half, half.open("w", **TEXT) as file:
        file.writelines(map(_line, [columns, *rows] if columns else rows))


def read_csv(path: Path, *, needs: Sequence[str] = ()) -> tuple[list[str], list[dict[str, str]]]:
    """Read the columns and rows of a CSV file, except an incomplete last row.

    Args:
        path: The file.
        needs: Required columns; others are allowed.

    Returns:
        Columns and rows, both empty if the file is missing or empty.

    Raises:
        ValueError: If a column is missing, or a row has more or fewer cells than there are columns.
    """
    if not path.is_file():
        return [], []
    data = path.read_bytes()
    text = data[: _whole(data)].decode(encoding="utf-8", errors="surrogateescape")
    columns, rows = list[str](), []
    for line, cells in _cells(path, io.StringIO(text, newline="")):
        if not columns:
            columns = cells
            lacking = [name for name in needs if name not in columns]
            if lacking:
                raise ValueError(f"{path}: no column {lacking[0]!r}: {_MEND}")
        elif len(cells) != len(columns):
            counts = f"{len(cells)} cells, expected {len(columns)}"
            raise ValueError(f"{path}, line {line}: {counts}: {_MEND}")
        else:
            rows.append(dict(zip(columns, cells, strict=True)))
    return columns, rows


def _cells(path: Path, file: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield line numbers and cells of each row of an open CSV file."""
    reader = csv.reader(file)
    try:
        for cells in reader:
            yield reader.line_num, cells
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: {error}: {_MEND}") from error


def _line(cells: Sequence[object]) -> str:
    """Return a row with its line ending; cells with line endings are quoted."""
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue().removesuffix("\r\n") + "\n"


def _whole(data: bytes) -> int:
    """Return the length of the complete rows of a CSV file.

    Cells with line endings or quotes are quoted, with each quote doubled. A line ending is
    therefore the end of a row if the number of quotes before it is even.
    """
    end = data.rfind(b"\n") + 1
    while data.count(b'"', 0, end) % 2:
        end = data.rfind(b"\n", 0, end - 1) + 1
    return end


class CsvLog:
    """CSV log: a file to which rows are appended.

    Appended rows survive a kill of the process.

    Args:
        path: The file; existing rows are kept, except an incomplete last one.
        columns: Columns of the file; new names in rows add columns.
        rows: Rows that replace those of the file, if given.
        shared: Whether other processes log to the same file: each waits until the previous one has
            closed it. Columns are then not added.

    Raises:
        ValueError: If a shared file lacks a column.
    """

    def __init__(
        self,
        path: Path,
        columns: Sequence[str] = (),
        *,
        rows: Sequence[Row] | None = None,
        shared: bool = False,
    ) -> None:
        self.path = path
        self.shared = shared
        path.parent.mkdir(parents=True, exist_ok=True)
        if rows is not None:
            names = dict.fromkeys([*columns, *(name for row in rows for name in row)])
            self._write(list(names), rows)
        self._open()
        self._file.truncate(_whole(path.read_bytes()))
        with path.open(**TEXT) as file:
            self.columns = next((cells for _, cells in _cells(path, file)), [])
        self._extend(columns)

    def __enter__(self) -> "CsvLog":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def append(self, row: Row) -> None:
        """Append a row; missing columns are empty."""
        self._extend(row)
        with naming(self.path):
            self._file.write(_line([row.get(name, "") for name in self.columns]))
            self._file.flush()

    def flush(self) -> None:
        """Sync all rows to disk."""
        with naming(self.path):
            self._file.flush()
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Sync all rows to disk, and close the file; once closed, do nothing."""
        if not self._file.closed:
            self.flush()
            self._file.close()

    def _extend(self, names: Iterable[str]) -> None:
        """Add new columns."""
        new = [name for name in names if name not in self.columns]
        if new and not self.columns:
            self.columns = new
            self._file.write(_line(new))
        elif new and self.shared:
            self._file.close()
            raise ValueError(f"{self.path}: no column {new[0]!r}, but {self.columns}: delete it")
        elif new:
            self.close()
            self.columns += new
            self._write(self.columns, read_csv(self.path)[1])
            self._open()

    def _write(self, columns: Sequence[str], rows: Iterable[Row]) -> None:
        write_csv(self.path, columns, ([row.get(name, "") for name in columns] for row in rows))

    def _open(self) -> None:
        self._file: IO[str] = self.path.open("a", **TEXT)
        if self.shared:
            with suppress(OSError):  # some network file systems have no locks
                fcntl.flock(self._file, fcntl.LOCK_EX)
