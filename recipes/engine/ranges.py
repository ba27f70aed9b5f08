"""`check_ranges`: ranges of settings, with errors that name the options."""

from collections.abc import Callable, Mapping, Sequence
from math import inf
from typing import Any

RANGES: dict[str, Callable[[Any], bool]] = {
    "at least 0": lambda x: x >= 0,
    "at least 1": lambda x: x >= 1,
    "at least 1 each": lambda x: min(x) >= 1,
    "at least 2": lambda x: x >= 2,
    "at least 64": lambda x: x >= 64,
    "above 0": lambda x: x > 0,
    "above 0 and at most 1": lambda x: 0 < x <= 1,
    "above 0 and below 3600": lambda x: 0 < x < 3600,
    "finite and above 0": lambda x: 0 < x < inf,
    "finite and at least 0": lambda x: 0 <= x < inf,
    "from 0 to 0.5": lambda x: 0 <= x <= 0.5,
    "from 0 to 1": lambda x: 0 <= x <= 1,
    "from 0 to below 1": lambda x: 0 <= x < 1,
    "between 0 and 1": lambda x: 0 < x < 1,
}


def check_ranges(
    settings: object, rules: Mapping[str, Sequence[str]], *, prefix: str = "--"
) -> None:
    """Raise a ValueError that names the option if a setting is out of its range.

    `rules` has names by range; of these, what is absent, None or a word is not checked.
    """
    for words, names in rules.items():
        for name in names:
            value = getattr(settings, name, None)
            if not (value is None or isinstance(value, str) or RANGES[words](value)):
                raise ValueError(f"{prefix}{name.replace('_', '-')} must be {words}, got {value}")
