"""Command lines of recipes: `run_cli` with presets as subcommands, `run_options` without."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, cast

try:
    import tyro
except ModuleNotFoundError as error:
    raise SystemExit(f"error: {error}: recipes need pip install -e '.[recipes]'") from error

from recipes.common.again import OPTION, settings_of, split_config
from recipes.common.errors import set_up_stdout, users_errors
from recipes.common.settings import TrainConfig
from recipes.common.sizes import sized
from recipes.engine.command import module_name
from recipes.engine.console import recording
from recipes.engine.signals import leaving_in_order

C = TypeVar("C")
RENAMED = {"--probe-every": "--evaluate-every"}  # options by their names in the previous release


def run_cli(
    main: Callable[[C], object],
    *,
    presets: Mapping[str, tuple[str, C]],
    doc: str | None,
    args: Sequence[str] | None = None,
) -> None:
    """Read the command line, then call `main` with the configuration.

    The first preset is the default: it needs no sub-command, and its settings can be
    overridden without one. The default of a `run.dir` is `runs/RECIPE-PRESET`.

    A `ValueError`, `OSError` or `FloatingPointError` ends the program with one line and
    exit code 2; with AVBLOCKS_TRACEBACK=1 it keeps its traceback, like every other error.

    Args:
        main: The recipe.
        presets: One-line description and configuration of each preset, by name.
        doc: The docstring of the recipe, shown by `--help`.
        args: Command line arguments instead of `sys.argv[1:]`.
    """
    set_up_stdout()
    with recording(), users_errors():
        words = list(sys.argv[1:] if args is None else args)
        config = _parse(presets, doc=doc or "", words=words)
        if isinstance(config, TrainConfig):
            config = cast(C, sized(config, typed=_typed(words)))
        main(config)


def run_options(
    main: Callable[[C], object],
    kind: type[C],
    *,
    doc: str | None,
    args: Sequence[str] | None = None,
) -> None:
    """Read the command line of a recipe without presets, then call `main`, see `run_cli`.

    A stop signal ends the program after temporary files are removed.
    """
    with users_errors(), leaving_in_order():
        main(tyro.cli(kind, prog=f"python -m {module_name()}", description=doc, args=args))


def _parse(presets: Mapping[str, tuple[str, C]], *, doc: str, words: list[str]) -> C:
    file, words = split_config(words)
    named = bool(words) and not words[0].startswith("-")
    name = words.pop(0) if named else next(iter(presets))
    if named and file is not None:
        raise ValueError(f"give a preset, {name}, or {OPTION} {file}, not both")
    if name not in presets:
        raise ValueError(f"no preset {name!r}; the presets are: {', '.join(presets)}")
    module = module_name()
    offered = {
        preset: (_help(presets, doc=doc, module=module, chosen=preset), default)
        for preset, (_, default) in presets.items()
    }
    if file is not None:
        offered[name] = offered[name][0], settings_of(file, offered[name][1])
    words = [name, *map(_renamed, words)]
    config: Any = tyro.extras.overridable_config_cli(
        offered, prog=f"python -m {module}", args=words
    )
    if hasattr(config, "run") and config.run.dir is None:
        recipe = module.removeprefix("recipes.").replace(".", "_")
        folder = Path("runs") / f"{recipe}-{name}"
        return replace(config, run=replace(config.run, dir=folder))
    return config


def _typed(words: Sequence[str]) -> set[str]:
    """Return the names of the options on a command line, as in `config.json`."""
    options = (word[2:].partition("=")[0] for word in words if word.startswith("--"))
    return {option.replace("-", "_") for option in options}


def _renamed(word: str) -> str:
    """Accept an option by its name in the previous release, and print the new name."""
    option, *value = word.split("=", 1)
    new = RENAMED.get(option.replace("_", "-"))
    if new is None:
        return word
    print(f"note: {option} is called {new} now", file=sys.stderr)
    return "=".join([new, *value])


def _help(presets: Mapping[str, tuple[str, Any]], *, doc: str, module: str, chosen: str) -> str:
    width = max(map(len, presets))
    lines = [f"  {name:{width}}  {about}" for name, (about, _) in presets.items()]
    use = f"python -m {module} [PRESET] [OPTIONS]"
    listed = "\n".join(["Presets (the first is the default):", *lines])
    again = "Take the settings of another run, and change some of them:\n"
    again += f"  python -m {module} {OPTION} RUN/config.json [OPTIONS]"
    shown = f"Defaults shown are those of: {chosen}"
    return "\n\n".join([doc.strip(), use, listed, again, shown])
