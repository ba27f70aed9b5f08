"""Locks of folders that only one process may use at a time."""

import errno
import os
import platform
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

NAME = "lock"
"""The lock file in a folder, which names the process that holds the lock."""
_NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK)


class FolderLock:
    """The lock of a folder, held by this process.

    Args:
        path: The lock file.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._locked = path, path.stat()

    @property
    def lost(self) -> bool:
        """Whether the folder was removed or replaced since it was locked."""
        try:
            return not os.path.samestat(self.path.stat(), self._locked)
        except (FileNotFoundError, NotADirectoryError):
            return True

    def check(self) -> None:
        """Check that the folder is still the one that was locked.

        Raises:
            FileNotFoundError: If it was removed, or replaced by another process.
        """
        if self.lost:
            raise FileNotFoundError(
                f"{self.path.parent} was removed or replaced while this process worked in it, "
                "which therefore ends: start again in a folder of its own"
            )


@contextmanager
def locked(folder: Path, *, remedy: str) -> Iterator[FolderLock]:
    """Lock a folder for exclusive use during the block.

    The folder is created if needed. The system releases the lock when the process ends, even if it
    is killed. Child processes do not hold the lock. On a file system without locks, a warning is
    issued instead.

    Args:
        folder: The folder; it contains a file `NAME` during the block.
        remedy: The end of the error message.

    Raises:
        ValueError: If another process holds the lock; the message names that process.
        OSError: If the folder is not writable.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path, owner = folder / NAME, os.getpid()
    lock = _acquired(path, remedy)
    path.write_text(f"process {owner} on {platform.node()}\n", encoding="utf-8")
    held = FolderLock(path)
    try:
        yield held
    finally:
        # Removed while the lock is held, so that no other process has it; not by a forked process.
        if os.getpid() == owner and not held.lost:
            path.unlink()
        lock.release()


def _acquired(path: Path, remedy: str) -> FileLock:
    lock = FileLock(path, blocking=False, fallback_to_soft=False)
    try:
        lock.acquire()
    except Timeout:
        try:
            holder = path.read_text(encoding="utf-8", errors="replace").strip() or "a process"
        except FileNotFoundError:  # the holder has ended in the meantime
            return _acquired(path, remedy)
        raise ValueError(f"another run is active in {path.parent} ({holder}): {remedy}") from None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        warnings.warn(f"{path.parent} cannot be locked ({error.strerror})", stacklevel=4)
    return lock
