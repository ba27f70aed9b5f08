"""`run_cli`: command line of a recipe, with presets as subcommands and one-line errors."""

import io
import os
import re
import select
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

try:
    import tyro
except ModuleNotFoundError as error:
    raise SystemExit(f"error: {error}: recipes need pip install -e '.[recipes]'") from error

from recipes.common.again import OPTION, settings_of, split_config
from recipes.common.settings import TrainConfig
from recipes.common.sizes import sized
from recipes.engine.command import module_name
from recipes.engine.console import recording
from recipes.engine.run import Folder

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


class HasRun(Protocol):
    """A recipe's configuration."""

    @property
    def run(self) -> Folder:
        """The settings that all recipes share."""
        ...


C = TypeVar("C", bound=HasRun)
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
    overridden without one. `run.dir`, when not given, becomes `runs/RECIPE-PRESET`.

    A `ValueError`, `OSError` or `FloatingPointError` ends the program with one line and
    exit code 2; with AVBLOCKS_TRACEBACK=1 it keeps its traceback, like every other error.

    Args:
        main: The recipe.
        presets: One-line description and configuration of each preset, by name.
        doc: The docstring of the recipe, shown by `--help`.
        args: Command line arguments instead of `sys.argv[1:]`.
    """
    _set_up_stdout()
    with recording(), users_errors():
        words = list(sys.argv[1:] if args is None else args)
        config = _parse(presets, doc=doc or "", words=words)
        if isinstance(config, TrainConfig):
            config = cast(C, sized(config, typed=_typed(words)))
        main(config)


@contextmanager
def users_errors() -> Iterator[None]:
    """End the program with one line for errors that users can fix, see `run_cli`."""
    _set_up_stdout()
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


def _set_up_stdout() -> None:
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
    config = tyro.extras.overridable_config_cli(offered, prog=f"python -m {module}", args=words)
    if config.run.dir is None:
        recipe = module.removeprefix("recipes.").replace(".", "_")
        folder = Path("runs") / f"{recipe}-{name}"
        config = replace(config, run=replace(config.run, dir=folder))  # pyright: ignore[reportArgumentType]
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
