"""Errors for missing optional packages that name the extra to install."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal


@contextmanager
def extra(name: Literal["viz", "hub"]) -> Iterator[None]:
    """Name the extra to install if an import in the block fails.

    Raises:
        ImportError: If a package is not installed.

    >>> with extra("viz"):
    ...     import no_such_package
    Traceback (most recent call last):
    ImportError: no_such_package is not installed: pip install 'avblocks[viz]'
    """
    try:
        yield
    except ModuleNotFoundError as error:
        text = f"{error.name} is not installed: pip install 'avblocks[{name}]'"
        raise ImportError(text, name=error.name) from error
