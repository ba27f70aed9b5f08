"""Trained models: from a run folder by its recipe, or from an exported folder without one."""

import re
from collections.abc import Callable, Sequence
from math import ceil
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from avblocks.data import AVBatch
from avblocks.tasks import LoadedTask, Separation, Task, load_task
from recipes.common.checks import OF_FRAMES, hop_samples
from recipes.common.run_files import is_export
from recipes.common.runs import REMEDY, open_saved

Precision = Literal["32-true", "bf16-mixed", "16-mixed"]
_DTYPES = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


def load_trained(path: Path, *, device: str | None = None) -> LoadedTask:
    """Load the newest whole checkpoint of a run folder, a checkpoint in one, or an exported folder.

    The model is frozen and moved to the device, by default a GPU if there is one.

    Raises:
        ValueError: If it is not of a recipe with a head, is damaged, or does not fit its own
            configuration, or reads several frames; no weight is left at its initialization.
    """
    trained = load_task(path) if is_export(path) else _load_run(path)
    if (frames := trained.format.frames) > 1:
        raise ValueError(f"{path} {OF_FRAMES.format(frames)}: python -m recipes.evaluate tests it")
    trained.task.to(find_device(device)).eval().requires_grad_(False)
    return trained


def load_all(paths: Sequence[Path], *, device: str | None = None) -> list[LoadedTask]:
    """Load several trained models, each of another task.

    Raises:
        ValueError: As `load_trained`, or if two are of one task.
    """
    models: dict[str, LoadedTask] = {}
    for path in paths:
        trained = load_trained(path, device=device)
        if other := models.get(trained.name):
            raise ValueError(f"{other.path} and {trained.path} both do {trained.name}: give one")
        models[trained.name] = trained
    return list(models.values())


def find_device(name: str | None) -> torch.device:
    """Return a device by its name; by default a GPU if there is one.

    Raises:
        ValueError: If this machine has no such device.
    """
    count = torch.cuda.device_count()
    if name is None:
        return torch.device("cuda" if count else "cpu")
    found = re.fullmatch(r"cpu|cuda(?::(\d+))?", name)
    if found is None:
        raise ValueError(f"--device is cpu, cuda or cuda:N, got {name}")
    if name != "cpu" and int(found[1] or 0) >= count:
        raise ValueError(f"--device {name}: this machine has {count} GPUs")
    return torch.device(name)


def check_precision(precision: Precision, device: torch.device) -> None:
    """Raise a ValueError if a device has no such precision."""
    if precision == "16-mixed" and device.type == "cpu":
        raise ValueError("--precision 16-mixed needs a GPU; take bf16-mixed or 32-true")


def origin(trained: LoadedTask) -> str:
    """Return the file of a model, and what it was trained on."""
    return f"{trained.path}, trained on {trained.trained_on or 'data that it does not name'}"


def hop_of(trained: LoadedTask, seconds: float | None) -> int:
    """Return the samples from one window to the next; by default a window, or half to separate.

    Raises:
        ValueError: If windows would leave gaps, or never advance.
    """
    length = trained.format.samples
    if seconds is None:
        return ceil(length / 2) if isinstance(trained.task, Separation) else length
    return hop_samples(seconds, trained.format, of=trained.path)


@torch.inference_mode()
def infer(
    model: Task,
    function: Callable[[AVBatch], Tensor],
    batch: AVBatch,
    *,
    precision: Precision = "32-true",
) -> Tensor:
    """Call a model's function, such as its ``logits``; return the result in float32, on the CPU."""
    device, dtype = model.device, _DTYPES.get(precision)
    with torch.autocast(device.type, dtype=dtype, enabled=dtype is not None):
        return function(batch.to(device)).float().cpu()


def _load_run(path: Path) -> LoadedTask:
    saved = open_saved(path, remedy=REMEDY)
    task, _ = saved.task()
    classes = tuple(saved.run_config["classes"])
    return LoadedTask(task=task, classes=classes, path=saved.path, trained_on=saved.trained_on)
