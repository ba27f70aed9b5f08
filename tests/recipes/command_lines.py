"""`command`: the command line of a recipe without presets."""

from collections.abc import Callable, Sequence
from types import ModuleType

from recipes.common.cli import run_options


def command(recipe: ModuleType) -> Callable[[Sequence[str]], None]:
    """Return a function that runs a recipe with some words."""
    return lambda words: run_options(recipe.main, recipe.Config, doc=recipe.__doc__, args=words)
