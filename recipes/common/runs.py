"""What a run folder records of the run in it, and the task module rebuilt from that."""

import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from dacite import Config as Rules
from dacite import DaciteError, from_dict
from torch import Tensor

from avblocks.checkpoint import from_run, load_weights
from avblocks.tasks import HeadTask
from recipes.common.data import FREE
from recipes.engine.folder import flat, plain

RECIPES = (
    "paper_finetune",
    "paper_linear_probe",
    "paper_localize",
    "paper_separate",
    "paper_segment",
)
"""Recipes that train an encoder with a head."""
REMEDY = f"give a run folder of {', '.join(RECIPES[:-1])} or {RECIPES[-1]}"
C = TypeVar("C")


def read_run_config(path: Path, *, remedy: str) -> dict[str, Any]:
    """Read what a run folder records of a checkpoint in it: recipe, classes, configuration.

    Args:
        path: The checkpoint.
        remedy: What to do where there is none, the end of the error message.

    Raises:
        ValueError: If it is not in a run folder, or the folder does not record them.
    """
    file = path.parent.parent / "config.json"
    if path.is_dir() or not file.is_file():
        raise ValueError(f"{path} lies in no run folder: {remedy}")
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file} is damaged: {error}") from error
    recipe = values.get("recipe") if isinstance(values, dict) else None
    if recipe is None or not {"classes", "config"} <= values.keys():
        raise ValueError(
            f"{file} does not say which recipe and classes it is of: give that run's command once "
            "more, with --run.resume, which adds them"
        )
    return values


def rebuild_config(kind: type[C], values: Mapping[str, Any]) -> C:
    """Build a configuration from what JSON returns of it.

    Args:
        kind: A frozen dataclass of plain values, paths, tuples and other such dataclasses.
        values: Its fields by name. Fields that a resumed run may change may be missing: they do
            not change the model, and the recipe may have got them since.

    Raises:
        ValueError: If a name is unknown or missing, or a value has another type.
    """
    try:
        config = from_dict(kind, values, Rules(cast=[Path, tuple], strict=True))
    except DaciteError as error:
        raise ValueError(
            f"config.json does not fit this version's {kind.__module__}: {error}"
        ) from error
    names = flat(plain(config)).keys() - flat(values).keys() - set(FREE)
    missing = sorted(name for name in names if not name.startswith("run."))
    if missing:
        raise ValueError(f"config.json lacks {', '.join(missing)}")
    return config


def rebuild_task(values: Mapping[str, Any], weights: Mapping[str, Tensor]) -> HeadTask:
    """Build the task module of a run, and load its weights.

    Args:
        values: What the run folder records, see `read_run_config`; of one of `RECIPES`.
        weights: Of the run's checkpoint.

    Raises:
        ValueError: If they do not fit together.
    """
    recipe = importlib.import_module(f"recipes.{values['recipe']}")
    task = recipe.build(rebuild_config(recipe.Config, values["config"]), classes=values["classes"])
    load_weights(task, from_run(dict(weights), part=""), strict=True)
    return task
