"""Atomic and durable writing of files, checksums, and CSV logs."""

import csv
import errno
import fcntl
import hashlib
import io
import os
import platform
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

Row = Mapping[str, str]
"""The cells of a row by column."""
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)
_MEND = "mend or delete the file"
# Process ids are unique only on one machine, and several machines may write to one folder.
_NODE = re.sub(r"\W", "", platform.node()) or "node"
# File names are bytes: those that are not UTF-8 are written as they are.
_TEXT: dict[str, Any] = {"encoding": "utf-8", "errors": "surrogateescape", "newline": ""}


@contextmanager
def replacing(path: str | Path, *, durable: bool = True) -> Iterator[Path]:
    """Replace a file atomically: yield a temporary name in its folder, then rename that file.

    File and name are synced to disk: after a kill or a power failure, either the old or the new
    file exists; after an error, the old one. Temporary files that killed processes left of this
    file, or of one with other digits in its name, are removed.

    Args:
        path: File to write; its folder is created if needed.
        durable: Whether to sync to disk and to remove old temporary files, which takes a few
            milliseconds. Without it, a power failure may leave an empty file; use that for many
            files that can be made again.

    Yields:
        The temporary name.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    half = temporary(path, os.getpid())
    if durable:
        sweep(path.parent, re.sub(r"\d+", r"\\d+", re.escape(path.name)))
    try:
        with naming(path, half):
            yield half
            if durable:
                sync(half)
            half.replace(path)
            if durable:
                sync(path.parent)
    finally:
        half.unlink(missing_ok=True)


@contextmanager
def naming(path: Path, half: Path | None = None) -> Iterator[None]:
    """Add the name of a file to errors of a full or broken disk, which often lack it.

    Args:
        path: The file.
        half: The temporary name of the file, if any.

    Raises:
        OSError: With the same number, and the name of the file.
    """
    try:
        yield
    except Exception as error:  # errors of PyAV have a number but are not OSErrors
        number, name = (getattr(error, key, None) for key in ("errno", "filename"))
        if number not in _DISK or name not in (None, str(half)):
            raise
        raise OSError(number, os.strerror(number), str(path)) from error


def temporary(path: Path, pid: int) -> Path:
    """Return the temporary name under which a process of this machine writes a file."""
    return path.with_name(f".{path.name}.{pid}-{_NODE}.tmp")


def sweep(folder: Path, name: str = ".*") -> None:
    """Remove temporary files that killed processes of this machine left in a folder.

    Args:
        folder: The folder.
        name: A pattern of the final names of the files.
    """
    for half in folder.glob(f".*-{_NODE}.tmp"):
        pid = re.fullmatch(rf"\.{name}\.(\d+)-{_NODE}\.tmp", half.name)
        if pid and not _runs(int(pid[1])):
            half.unlink(missing_ok=True)


def _runs(pid: int) -> bool:
    """Return whether a process exists, of any user."""
    try:
        os.kill(pid, 0)  # sends nothing
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def write_text(path: str | Path, text: str) -> None:
    """Write a text file atomically, see `replacing`."""
    with replacing(path) as half, half.open("w", **_TEXT) as file:
        file.write(text)


def sync(path: Path) -> None:
    """Sync a file, or the names in a folder, to disk."""
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
    """Return the length and checksum of a file, to verify it later."""
    return {"bytes": path.stat().st_size, "sha256": sha256(path)}


def write_csv(path: str | Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV file atomically, see `replacing`; without a header if ``columns`` is empty."""
    with replacing(path) as half, half.open("w", **_TEXT) as file:
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
        with path.open(**_TEXT) as file:
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
        """Sync all rows to disk, and close the file."""
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
        self._file: IO[str] = self.path.open("a", **_TEXT)
        if self.shared:
            with suppress(OSError):  # some network file systems have no locks
                fcntl.flock(self._file, fcntl.LOCK_EX)
