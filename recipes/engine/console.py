"""`recording`: a copy of the console's lines, for the `log.txt` of a run."""

import errno
import os
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from recipes.engine.command import command_line

NAME = "log.txt"


class Console:
    """Lines of the console, kept until a run folder is known, then appended to its log."""

    def __init__(self) -> None:
        self._waiting: list[str] | None = []
        self._files: list[IO[str]] = []

    def attach(self, folder: Path) -> None:
        """Append the lines so far, and all further ones, to the log in a folder."""
        text = "".join(self._waiting or ())
        self._waiting = None
        file = (folder / NAME).open("a", encoding="utf-8", errors="backslashreplace")
        self._files.append(file)
        self.write(f"{time.strftime('%Y-%m-%d %H:%M:%S %z')}  {command_line()}\n{text}")

    def drop(self) -> None:
        """Keep no lines: another process writes the log."""
        self._waiting = None

    def write(self, text: str) -> None:
        """Log text."""
        if self._waiting is not None:
            self._waiting.append(text)
        elif self._files:
            try:
                self._files[-1].write(text)
                self._files[-1].flush()
            except OSError as error:  # a full disk must not hide the error that is printed
                self._files.clear()
                print(f"note: {NAME} ends here: {error}", file=sys.stderr)

    @property
    def logs(self) -> int:
        """Number of open logs; lines go to the last one."""
        return len(self._files)

    def close(self, *, keep: int = 0) -> None:
        """Close all logs except the first ones."""
        while self.logs > keep:
            with suppress(OSError):  # of what could not be written, see `write`
                self._files.pop().close()


def discard(stream: int) -> None:
    """Discard what is written to a file descriptor from now on."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream)
    os.close(nowhere)


class _Tee:
    """A stream of the console that also writes to the log, except progress bars.

    When a terminal is closed, writing to it is an error, even before its signal is handled; the
    run continues until it handles the signal, or to its end if there is none.
    """

    def __init__(self, stream: Any, console: Console) -> None:
        self._stream, self._console = stream, console
        self._in_bar, self._terminal = False, stream.isatty()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @contextmanager
    def _until_closed(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno != errno.EIO or not self._terminal:
                raise
            discard(self._stream.fileno())

    def flush(self) -> None:
        with self._until_closed():
            self._stream.flush()

    def write(self, text: str) -> int:
        with self._until_closed():
            self._stream.write(text)
        if "\r" in text or "\x1b" in text:  # drawn over, again and again
            self._in_bar = True
        elif self._in_bar and not text.strip():
            self._in_bar = "\n" not in text
        else:
            self._in_bar = False
            self._console.write(text)
        return len(text)


_CURRENT: list[Console] = []


@contextmanager
def recording() -> Iterator[Console]:
    """Copy stdout and stderr in the block; within another such block, continue that one."""
    if _CURRENT:
        console = _CURRENT[0]
        logs = console.logs
        try:
            yield console
        finally:  # the log of one run is kept for the lines after it
            console.close(keep=max(logs, 1))
        return
    console, before = Console(), (sys.stdout, sys.stderr)
    _CURRENT.append(console)
    sys.stdout, sys.stderr = (_Tee(stream, console) for stream in before)
    try:
        yield console
    except Exception:  # which Python prints after this block
        console.write(traceback.format_exc())
        raise
    finally:
        sys.stdout, sys.stderr = before
        _CURRENT.clear()
        console.close()
