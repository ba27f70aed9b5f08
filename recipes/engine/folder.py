"""Run folder: its configuration and checkpoints, and checks of which run may resume it."""

import json
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from torch import Tensor, nn

from avblocks.checkpoint import saves as _saves
from avblocks.data.datasets import ClipSet
from avblocks.jsonfile import read_json
from avblocks.nn.older import renamed
from recipes.engine.provenance import provenance
from recipes.engine.readme import RUN_FILES
from recipes.engine.resuming import check_same
from recipes.engine.run import Run
from recipes.engine.signals import resume_if_requeued

NOTHING = "nothing to resume in --run.dir {}: it holds no whole checkpoint"
PREFIX = "model."  # prefix of the names of the weights in a checkpoint
REMEDY = "wait for its end, or pass another --run.dir"  # if another run uses the folder


def describe(config: Any, run: Run, clips: Mapping[str, ClipSet | None]) -> dict[str, Any]:
    """Return the content of `config.json`: configuration, classes, clips by use, provenance."""
    given = {use: found for use, found in clips.items() if found is not None}
    train = given.get("train")
    return {
        "recipe": recipe_of(config),
        "classes": [] if train is None else list(train.classes),
        "config": {**plain(config), "run": plain(run)},
        "clips": {use: found.facts() for use, found in given.items()},
        **provenance(),
    }


def find_checkpoint(
    run: Run,
    run_config: Mapping[str, Any],
    *,
    free: Collection[str],
    report: Callable[[str], object],
) -> Path | None:
    """Return the checkpoint to resume from, or None to start at step 0.

    The configuration is compared with `config.json`, except for the names in `free`.

    Raises:
        ValueError: If the folder contains a run and `run.resume` is off, or vice versa, or if the
            run was started with another configuration or trained on other clips.
    """
    if not run.resume:
        _check_new(run.folder)
        return None
    path = _saves.latest(checkpoints(run.folder), report=report)
    if path is None:
        raise ValueError(NOTHING.format(run.folder))
    check_same(run.folder / "config.json", run_config, free, report)
    return path


def check_folder(run: Run) -> None:
    """Check the run folder, before any data is read.

    Raises:
        ValueError: If it cannot be used, holds a run and `run.resume` is off, or vice versa.
    """
    folder = run.folder
    try:
        str(folder.absolute()).encode()
    except UnicodeEncodeError as error:  # which TensorBoard requires
        raise ValueError(f"{folder}: not a name in UTF-8, pass another --run.dir") from error
    if run.resume and not _saves.exists(checkpoints(folder)):
        raise ValueError(NOTHING.format(folder))
    if not resume_if_requeued(run, checkpoints(folder)).resume:
        _check_new(folder)
    check_writable(folder, option="--run.dir")


def check_writable(folder: Path, *, option: str) -> None:
    """Check that files can be written to a folder, which need not exist; nothing is left in it.

    Raises:
        ValueError: If it cannot be made or written to; the message names the option.
    """
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir():
        raise ValueError(f"{option} {folder} cannot be made: {there} is a file")
    try:  # permissions do not say it: /proc refuses files from root too
        with TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise ValueError(
            f"{option} {folder}: {there} is not writable ({error.strerror}); give another folder"
        ) from error


def _check_new(folder: Path) -> None:
    if _saves.exists(checkpoints(folder)):
        raise ValueError(
            f"{folder} holds a run already: pass --run.resume to resume it, or another --run.dir"
        )


def check_own(folder: Path) -> None:
    """Raise a ValueError if a new run would replace files in the folder that no run has written.

    A run writes `config.json` first, so that one killed before its first checkpoint has it.
    """
    config = folder / "config.json"
    try:
        ours = "recipe" in read_json(config, {"config": dict}, remedy="")
    except (ValueError, OSError):
        ours = False
    taken = [name for name in RUN_FILES if (folder / name).is_file()]
    if taken and not ours:
        raise ValueError(
            f"{folder} has a {taken[0]} of something else, which this run would replace: pass "
            "another --run.dir"
        )


def check_fits(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Raise a ValueError with some parameter names if the weights are of another model."""
    wanted = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in weights.items()}
    wrong = [name for name in wanted | found if wanted.get(name) != found.get(name)]
    if wrong and {n: tuple(x.shape) for n, x in renamed(model, weights).items()} == wanted:
        raise ValueError(
            "the checkpoint is of an earlier version, whose optimizer state is of other parameters "
            "(queries, keys and values were one layer): start a new run from its weights"
        )
    if wrong:
        listed = ", ".join(f"{n} {found.get(n)} for {wanted.get(n)}" for n in wrong[:4])
        raise ValueError(f"the checkpoint is of another model: {len(wrong)} differ: {listed}")


def checkpoints(folder: Path) -> Path:
    """Return the folder of the checkpoints of a run."""
    return folder / "checkpoints"


def best_checkpoint(folder: Path) -> Path:
    """Return the folder of the checkpoint with the best evaluation of a run."""
    return folder / "best"


def plain(config: Any) -> dict[str, Any]:
    """Convert a configuration to plain JSON values."""
    values = asdict(config) if is_dataclass(config) and not isinstance(config, type) else config
    return json.loads(json.dumps(values, default=str))


def recipe_of(config: Any) -> str | None:
    """Return the name of the recipe of a configuration, if there is one."""
    # The module of a running recipe is `__main__`; only its spec has its name.
    spec = getattr(sys.modules.get(type(config).__module__), "__spec__", None)
    name = "" if spec is None else spec.name
    short = name.removeprefix("recipes.").removesuffix(".__main__")
    return short if name.startswith("recipes.") else None
