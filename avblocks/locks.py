"""Folders that one process at a time works in."""

import errno
import fcntl
import os
import platform
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from avblocks.files import naming

NAME = "lock"
"""The file in a folder that is locked, and names the process at work there."""
_NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK)
_held: set[int] = set()  # handles of this process, which forked ones must not hold


class FolderLock:
    """The lock of a folder, held by this process."""

    def __init__(self, path: Path, handle: int) -> None:
        self.path, self._handle = path, handle

    @property
    def lost(self) -> bool:
        """Whether the folder is no longer the one that was locked."""
        return not _is_same(self.path, self._handle)

    def check(self) -> None:
        """Compare the folder with the one that was locked.

        Raises:
            FileNotFoundError: If it was removed since, and perhaps made anew by another process.
        """
        if self.lost:
            raise FileNotFoundError(
                f"{self.path.parent} was removed or replaced while this process worked in it, "
                "which therefore ends: start again in a folder of its own"
            )


@contextmanager
def locked(folder: Path, *, remedy: str) -> Iterator[FolderLock]:
    """Keep every other process out of a folder for as long as the block lasts.

    The folder is made if needed. The system releases the lock when the process ends, however it
    ends. Processes that it forked or started do not hold it. On a file system without locks there
    is a warning in place of one.

    Args:
        folder: The folder; a file `NAME` is in it meanwhile.
        remedy: The end of the error's message.

    Raises:
        ValueError: If another process holds it; the message names that process.
        OSError: If nothing can be written there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / NAME
    handle = _acquire(path, remedy)
    _held.add(handle)
    try:
        with naming(path):
            os.ftruncate(handle, 0)
            os.write(handle, f"process {os.getpid()} on {platform.node()}\n".encode())
        yield FolderLock(path, handle)
    finally:
        if handle in _held:  # not in a forked process
            if _is_same(path, handle):  # removed while it is held, so that no other process has it
                path.unlink()
            _held.discard(handle)
            os.close(handle)


def _acquire(path: Path, remedy: str) -> int:
    """Lock the file that has the name, whichever others had it before."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _NO_LOCKS:
                warnings.warn(f"{path.parent} cannot be locked ({error.strerror})", stacklevel=4)
                return handle
            holder = os.pread(handle, 400, 0).decode(errors="replace").strip() or "a process"
            os.close(handle)
            if not isinstance(error, BlockingIOError):
                raise
            raise ValueError(
                f"another run is at work in {path.parent} ({holder}): {remedy}"
            ) from None
        if _is_same(path, handle):
            return handle
        os.close(handle)


def _is_same(path: Path, handle: int) -> bool:
    """Whether a name still stands for an open file."""
    try:
        return os.path.samestat(path.stat(), os.fstat(handle))
    except (FileNotFoundError, NotADirectoryError):
        return False


def _let_go() -> None:
    """Close the handles in a forked process: the lock would outlive the one that holds it."""
    for handle in _held:
        with suppress(OSError):
            os.close(handle)
    _held.clear()


os.register_at_fork(after_in_child=_let_go)
