"""Folders that one process at a time works in."""

import errno
import os
import platform
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

NAME = "lock"
"""The file in a folder that is locked, and names the process at work there."""
_NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK)


class FolderLock:
    """The lock of a folder, held by this process.

    Args:
        path: The file that is locked.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._locked = path, path.stat()

    @property
    def lost(self) -> bool:
        """Whether the folder is no longer the one that was locked."""
        try:
            return not os.path.samestat(self.path.stat(), self._locked)
        except (FileNotFoundError, NotADirectoryError):
            return True

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
    path, owner = folder / NAME, os.getpid()
    lock = _acquired(path, remedy)
    path.write_text(f"process {owner} on {platform.node()}\n", encoding="utf-8")
    held = FolderLock(path)
    try:
        yield held
    finally:
        # Removed while it is held, so that no other process has it; and not by a forked one.
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
        except FileNotFoundError:  # whoever had it has ended in the meantime
            return _acquired(path, remedy)
        raise ValueError(f"another run is at work in {path.parent} ({holder}): {remedy}") from None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        warnings.warn(f"{path.parent} cannot be locked ({error.strerror})", stacklevel=4)
    return lock
