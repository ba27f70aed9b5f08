"""One run at a time in a folder."""

import errno
import fcntl
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep every other run out of a folder for as long as the block lasts.

    The system lets go of the lock when the process ends, however it ends. The workers and
    training processes that it started do not hold it.

    Args:
        folder: The run folder; it is made if need be.

    Raises:
        ValueError: If another process holds it; the message names that process.
        OSError: If nothing can be written there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a+", encoding="utf-8") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EAGAIN):
                raise OSError(f"{file.name} cannot be locked: {error}") from error
            file.seek(0)
            raise ValueError(
                f"another run is at work in {folder} ({file.read().strip() or 'a process'}): wait "
                "for its end, or pass another --run.dir"
            ) from None
        file.truncate(0)
        print(f"process {os.getpid()} on {platform.node()}", file=file, flush=True)
        yield
