"""Trained models: from a run folder by its recipe, or from an exported folder without one."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from avblocks.checkpoint import saves
from avblocks.checkpoint.folder import WEIGHTS
from avblocks.data import AVBatch
from avblocks.tasks import LoadedTask, Task, load_task
from recipes.common.run_files import find, read_run_config
from recipes.common.runs import RECIPES, REMEDY, rebuild_task


def load_trained(path: Path) -> LoadedTask:
    """Load the newest whole checkpoint of a run folder, a checkpoint in one, or an exported folder.

    It is frozen, and on a GPU if there is one.

    Raises:
        ValueError: If it is not of a recipe with a head, is damaged, or does not fit its own
            configuration; no weight is left at its initialization.
    """
    trained = load_task(path) if (path / WEIGHTS).is_file() else _load_run(path)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    trained.task.to(device).eval().requires_grad_(False)
    return trained


def load_all(paths: Sequence[Path]) -> list[LoadedTask]:
    """Load several trained models, each of another task.

    Raises:
        ValueError: As `load_trained`, or if two are of one task.
    """
    models: dict[str, LoadedTask] = {}
    for path in paths:
        trained = load_trained(path)
        if other := models.get(trained.name):
            raise ValueError(f"{other.path} and {trained.path} both do {trained.name}: give one")
        models[trained.name] = trained
    return list(models.values())


@torch.inference_mode()
def infer(model: Task, function: Callable[[AVBatch], Tensor], batch: AVBatch) -> Tensor:
    """Call a model's function, such as its ``logits``; return the result in float32, on the CPU."""
    return function(batch.to(model.device)).float().cpu()


def _load_run(run: Path) -> LoadedTask:
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
        task = rebuild_task(values, saves.load(path)["state_dict"])
    except ValueError as error:
        raise ValueError(f"{path} cannot be used: {error}") from error
    return LoadedTask(task=task, classes=tuple(values["classes"]), path=path)
