"""`--config FILE`: the settings of another run, from its `config.json`."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from avblocks.jsonfile import read_json
from recipes.common.runs import rebuild_config
from recipes.engine.folder import recipe_of

C = TypeVar("C")
OPTION = "--config"
_REMEDY = "give the config.json of a run of this recipe"


def split_config(words: Sequence[str]) -> tuple[Path | None, list[str]]:
    """Split the file of `--config` from the other words of a command line.

    Raises:
        ValueError: If the option has no file.

    >>> split_config(["--batch", "4", "--config", "runs/a/config.json"])
    (PosixPath('runs/a/config.json'), ['--batch', '4'])
    """
    rest, found = list(words), None
    for index, word in enumerate(words):
        if word == OPTION or word.startswith(f"{OPTION}="):
            value = word.partition("=")[2] or next(iter(words[index + 1 :]), "")
            if not value or value.startswith("--"):
                raise ValueError(f"{OPTION} needs a FILE: {_REMEDY}")
            found = Path(value)
            del rest[index : index + (1 if "=" in word else 2)]
            break
    return found, rest


def settings_of(file: Path, like: C) -> C:
    """Return the settings in the `config.json` of a run, given by its folder too, for a new run.

    Raises:
        ValueError: If the file is damaged, or of another recipe or version.
    """
    file = file / "config.json" if file.is_dir() else file
    values: dict[str, Any] = read_json(file, {"recipe": str, "config": dict}, remedy=_REMEDY)
    if values["recipe"] != (recipe := recipe_of(like)):
        raise ValueError(f"{file} is of {values['recipe']}, not of {recipe}: {_REMEDY}")
    config: Any = rebuild_config(type(like), values["config"])
    folder = Path("runs") / f"{file.absolute().parent.name}-again"
    return replace(config, run=replace(config.run, dir=folder, resume=False))
