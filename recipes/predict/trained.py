"""Trained models: from a run folder by its recipe, or from an exported folder without one."""

import importlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from dacite import Config as Rules
from dacite import DaciteError, from_dict
from torch import Tensor

from avblocks.checkpoint import load_weights, saves
from avblocks.data import AVBatch, ClipFormat
from avblocks.tasks import Task
from recipes.common.data import FREE
from recipes.common.start import find
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


@dataclass(frozen=True, kw_only=True)
class TrainedModel:
    """A model in evaluation mode, on a GPU if there is one."""

    model: Task
    """Front end, encoder and head, such as `avblocks.tasks.Classification`."""

    classes: tuple[str, ...]
    """Names of the classes, if it has any."""

    path: Path
    """Checkpoint, or exported folder."""

    @property
    def format(self) -> ClipFormat:
        """How a clip looks to the model."""
        return self.model.front_end.format

    @property
    def task(self) -> str:
        """Name of the task, in one word."""
        return type(self.model).__name__.lower()


def load_trained(path: Path) -> TrainedModel:
    """Load a trained model.

    Args:
        path: A run folder, whose newest whole checkpoint is taken, a checkpoint in one, or an
            exported folder.

    Raises:
        ValueError: If it is not of a recipe with a head, is damaged, or does not fit its own
            configuration; no weight is left at its initialization.
    """
    trained = _load_exported(path) if is_exported(path) else _load_run(path)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    trained.model.to(device).eval().requires_grad_(False)
    return trained


def load_all(paths: Sequence[Path]) -> list[TrainedModel]:
    """Load several trained models, each of another task.

    Raises:
        ValueError: As `load_trained`, or if two are of one task.
    """
    models: dict[str, TrainedModel] = {}
    for path in paths:
        trained = load_trained(path)
        if other := models.get(trained.task):
            raise ValueError(f"{other.path} and {trained.path} both do {trained.task}: give one")
        models[trained.task] = trained
    return list(models.values())


@torch.inference_mode()
def infer(model: Task, function: Callable[[AVBatch], Tensor], batch: AVBatch) -> Tensor:
    """Call a function of a model with a batch on the model's device.

    Args:
        model: The model.
        function: Such as the model's own ``logits``.
        batch: The batch, on any device.

    Returns:
        The result in float32, on the CPU.
    """
    return function(batch.to(model.device)).float().cpu()


def is_exported(folder: Path) -> bool:
    """Whether a folder was exported by `avblocks`, and needs no recipe to be loaded."""
    try:
        values = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(values, dict) and values.get("format") == "avblocks"


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


def _load_exported(folder: Path) -> TrainedModel:
    from avblocks.tasks.load import load_task

    loaded = load_task(folder)
    return TrainedModel(model=loaded.task, classes=tuple(loaded.classes), path=folder)


def _load_run(run: Path) -> TrainedModel:
    path = find(run, remedy=REMEDY)
    values = read_run_config(path, remedy=REMEDY)
    if values["recipe"] not in RECIPES:
        folder = path.parent.parent
        raise ValueError(
            f"{folder} is a run of {values['recipe']}, which has no head to predict with: train "
            f"one on it first (python -m recipes.paper_linear_probe --checkpoint {folder}), or "
            f"{REMEDY}"
        )
    recipe = importlib.import_module(f"recipes.{values['recipe']}")
    state = saves.load(path)["state_dict"]
    weights = {name.removeprefix("model."): value for name, value in state.items()}
    try:
        config = rebuild_config(recipe.Config, values["config"])
        model = recipe.build(config, classes=values["classes"])
        load_weights(model, weights, strict=True)
    except ValueError as error:
        raise ValueError(f"{path} cannot be used: {error}") from error
    return TrainedModel(model=model, classes=tuple(values["classes"]), path=path)
