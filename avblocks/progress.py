"""Progress of long loops: a bar on a terminal, and elsewhere a line every minute."""

import sys
from collections.abc import Iterable
from typing import Any, TypeVar, cast

from tqdm import tqdm

T = TypeVar("T")
ProgressBar = tqdm
"""A bar to update."""

EVERY = 60.0  # seconds between lines
_LINE = "{desc}: {n_fmt} of {total_fmt}, {rate_fmt}, {remaining} left{postfix}"


class _Lines:
    """A stream that writes each state of a bar on a separate line."""

    def write(self, text: str) -> None:
        if line := text.strip("\r\n "):
            sys.stderr.write(f"{line}\n")

    def flush(self) -> None:
        sys.stderr.flush()


def progress_bar(
    items: Iterable[T] | None = None,
    about: str = "",
    *,
    total: int | None = None,
    initial: int = 0,
    unit: str,
    leave: bool = True,
    disable: bool = False,
) -> "tqdm[T]":
    """Return an iterable, or a bar to update, that reports on stderr how far it is.

    On a terminal it is a bar of tqdm. Elsewhere, such as in the log of a batch job, it writes a
    line every minute, and nothing if the loop takes less than a minute.

    Args:
        items: The items; without them, call `update` of the result.
        about: Label.
        total: Number of items, if `items` has no length.
        initial: Number of items that are already done.
        unit: Name of an item.
        leave: Whether the finished bar stays on the terminal.
        disable: Whether to report nothing.

    >>> sum(progress_bar(range(4), "sum", unit="number"))
    6
    """
    options: dict[str, Any] = {"total": total, "initial": initial, "unit": unit}
    if not sys.stderr.isatty():
        often: dict[str, Any] = {"mininterval": EVERY, "maxinterval": EVERY, "delay": EVERY}
        options |= {**often, "miniters": 1, "file": _Lines(), "bar_format": _LINE, "leave": False}
    else:
        options |= {"leave": leave, "dynamic_ncols": True}
    return tqdm(cast(Iterable[T], items), about, disable=disable, **options)
