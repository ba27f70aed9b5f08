"""Atomic and durable writing of files, and checksums."""

import errno
import hashlib
import os
import platform
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)
# Process ids are unique only on one machine, and several machines may write to one folder.
_NODE = re.sub(r"\W", "", platform.node()) or "node"
# File names are bytes: those that are not UTF-8 are written as they are.
TEXT: dict[str, Any] = {"encoding": "utf-8", "errors": "surrogateescape", "newline": ""}


@contextmanager
def replacing(path: str | Path, *, durable: bool = True) -> Iterator[Path]:
    """Replace a file atomically: yield a temporary name in its folder, then rename that file.

    File and name are synced to disk: after a kill or a power failure, either the old or the new
    file exists; after an error, the old one. Temporary files of this file, or of one whose name
    differs only in digits, that killed processes left are removed.

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
    with replacing(path) as half, half.open("w", **TEXT) as file:
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
