"""Trained models: from a run folder by its recipe, or from an exported folder without one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from avblocks.checkpoint import saves
from avblocks.checkpoint.folder import WEIGHTS
from avblocks.data import AVBatch, ClipFormat
from avblocks.tasks import Task, load_task
from recipes.common.runs import RECIPES, REMEDY, read_run_config, rebuild_task
from recipes.common.start import find


@dataclass(frozen=True, kw_only=True)
class TrainedModel:
    """A model in evaluation mode, on a GPU if there is one."""

    model: Task  # front end, encoder and head, such as `avblocks.tasks.Classification`
    classes: tuple[str, ...]  # names, if it has any
    path: Path  # checkpoint, or exported folder

    @property
    def format(self) -> ClipFormat:
        """How a clip looks to the model."""
        return self.model.front_end.format

    @property
    def task(self) -> str:
        """Name of the task, in one word."""
        return type(self.model).__name__.lower()


def load_trained(path: Path) -> TrainedModel:
    """Load the newest whole checkpoint of a run folder, a checkpoint in one, or an exported folder.

    Raises:
        ValueError: If it is not of a recipe with a head, is damaged, or does not fit its own
            configuration; no weight is left at its initialization.
    """
    trained = _exported(path) if (path / WEIGHTS).is_file() else _load_run(path)
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
    """Call a model's function, such as its ``logits``; return the result in float32, on the CPU."""
    return function(batch.to(model.device)).float().cpu()


def _exported(folder: Path) -> TrainedModel:
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
    try:
        model = rebuild_task(values, saves.load(path)["state_dict"])
    except ValueError as error:
        raise ValueError(f"{path} cannot be used: {error}") from error
    return TrainedModel(model=model, classes=tuple(values["classes"]), path=path)
