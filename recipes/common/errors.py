"""Errors that users can cause and fix: `users_errors` prints them as one line; `prefixed`."""

import io
import os
import re
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager

USER_ERRORS = (ValueError, OSError, FloatingPointError)
"""Errors that users can cause and fix; others are bugs and keep their traceback."""
# Messages of torch for a loader process that died, closed its connection, or does not answer.
_DIED = r"DataLoader worker \(.*|.*ancdata|the line to it is cut|\[Errno \d+\] Connection .*"
_HANGS = r"DataLoader timed out after .*"
# Messages of the torch.distributed backends when another process of the run has ended.
_GONE = r"(?s).*(Connection closed by peer|gloo/transport|ncclRemoteError|ncclSystemError).*"
_REMEDIES = {
    _DIED: "a process that reads clips died ({}), mostly for want of memory: continue with fewer "
    "--data.workers (a training run with --run.resume)",
    _GONE: "another process of the run died or cannot be reached: continue with --run.resume",
    _HANGS: "nothing came from the processes that read clips ({}): see that the disk answers, then "
    "go on, with more --data.timeout if it is slow (a training run with --run.resume)",
}


@contextmanager
def users_errors() -> Iterator[None]:
    """End the program with one line for errors that users can fix, see `run_cli`."""
    set_up_stdout()
    try:
        yield
    except KeyboardInterrupt:
        print("interrupted; the same command continues from there", file=sys.stderr)
        sys.exit(130)
    except (*USER_ERRORS, RuntimeError) as error:
        if isinstance(error, BrokenPipeError) and _nobody_reads():
            sys.exit(141)
        line = user_line(error)
        if line is None or os.environ.get("AVBLOCKS_TRACEBACK") == "1":
            raise
        print(f"error: {line}", file=sys.stderr)
        sys.exit(2)


@contextmanager
def prefixed(text: str) -> Iterator[None]:
    """Begin the message of a ValueError in the block with some text."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{text}{error}") from error


def set_up_stdout() -> None:
    """Let stdout print any file name, and help texts without wrapping if it is not a terminal."""
    if not sys.stdout.isatty():
        os.environ.setdefault("COLUMNS", "110")
    if isinstance(sys.stdout, io.TextIOWrapper):  # names of files need not be UTF-8
        sys.stdout.reconfigure(errors="backslashreplace")


def _nobody_reads() -> bool:
    """Return whether the reader of stdout, such as `head`, has closed it; then print no more."""
    try:
        out = sys.stdout.fileno()
    except (OSError, ValueError):  # no file of the system's
        return False
    reader = select.poll()
    reader.register(out, 0)
    gone = any(event & select.POLLERR for _, event in reader.poll(0))
    if gone:
        os.dup2(os.open(os.devnull, os.O_WRONLY), out)
    return gone


def user_line(error: BaseException) -> str | None:
    """Return an error that users can fix as one line, or None for a bug.

    Of an error in a loader worker, which includes a traceback, only the message is kept.
    """
    for one in _raised(error):
        text = str(one)
        for pattern, remedy in _REMEDIES.items():
            if isinstance(one, RuntimeError | ConnectionError) and re.fullmatch(pattern, text):
                return remedy.format(text.strip().rstrip("."))
    text = str(error)
    worker = re.match(r"Caught (\w+) in DataLoader worker", text)
    if isinstance(error, RuntimeError) and not (worker and _is_user_error(worker[1])):
        return None
    if worker:
        text = re.split(r"^[\w.]+: ", text, flags=re.MULTILINE)[-1]
    return " ".join(text.split()) or type(error).__name__


def _raised(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and those that it interrupted.

    A signal reports a dead worker at any point of the program, so that the cleanup may fail too.
    """
    found: BaseException | None = error
    while found is not None:
        yield found
        found = None if found.__suppress_context__ else found.__context__


def _is_user_error(name: str) -> bool:
    # The loader turns an error whose class takes other arguments into a RuntimeError.
    classes = list(USER_ERRORS)
    for cls in classes:
        classes += cls.__subclasses__()
    return name in {cls.__name__ for cls in classes}
