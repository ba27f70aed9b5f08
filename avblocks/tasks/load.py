"""Save and load task modules, with the names of their classes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from avblocks.checkpoint import from_pretrained, save_pretrained
from avblocks.data import ClipFormat
from avblocks.heads import Classifier, Localizer, Segmenter, Separator, answering
from avblocks.tasks.classify import Classification
from avblocks.tasks.evaluate import HeadTask
from avblocks.tasks.localize import Localization
from avblocks.tasks.segment import Segmentation
from avblocks.tasks.separate import Separation

_TASKS: dict[str, tuple[Any, type[nn.Module]]] = {
    "classification": (Classification, Classifier),
    "localization": (Localization, Localizer),
    "segmentation": (Segmentation, Segmenter),
    "separation": (Separation, Separator),
}


@dataclass(frozen=True)
class LoadedTask:
    """A trained task module and the names of its classes.

    Attributes:
        task: the module, in evaluation mode.
        classes: names of the classes, in the order of the logits.
        path: the folder or file that it was loaded from.
    """

    task: HeadTask
    classes: tuple[str, ...]
    path: Path

    @property
    def format(self) -> ClipFormat:
        """The clip format of the task."""
        return self.task.front_end.format

    @property
    def name(self) -> str:
        """The task in one word: classification, localization, segmentation or separation."""
        return type(self.task).__name__.lower()


def save_task(task: HeadTask, folder: str | Path, *, classes: Sequence[str] = ()) -> None:
    """Save a task module in the format of `save_pretrained`.

    Args:
        task: task module; its encoder, head, front end and settings are saved.
        folder: output folder; an earlier save in it is replaced.
        classes: names of the classes, in the order of the logits.

    Raises:
        ValueError: if a part was not built by a builder of avblocks, or the class is not supported.
        OSError: as in `save_pretrained`.
    """
    name = type(task).__name__.lower()
    if name not in _TASKS or _TASKS[name][0] is not type(task):
        raise ValueError(f"task must be one of {tuple(_TASKS)}, got a {type(task).__name__}")
    about = {"name": name, "classes": list(classes), "settings": task.settings()}
    head = answering(task.get_submodule("head"))
    save_pretrained(task.encoder, folder, front_end=task.front_end, head=head, task=about)


def load_task(folder: str | Path) -> LoadedTask:
    """Load a task module saved by `save_task`.

    Args:
        folder: the folder.

    Raises:
        ValueError: as in `from_pretrained`, or if the folder contains no task.
    """
    found = from_pretrained(folder)
    kind, head = _TASKS.get(str(found.task.get("name")), (None, nn.Module))
    if kind is None or found.front_end is None or not isinstance(found.head, head):
        raise ValueError(
            f"{folder} holds an encoder without a task: give the folder of a run with a head, "
            "exported by python -m recipes.export without --encoder-only"
        )
    try:
        classes = tuple(found.task.get("classes", ()))
        settings = found.task.get("settings", {})
        task = kind(found.encoder, found.head, front_end=found.front_end, **settings).eval()
    except (TypeError, ValueError) as error:
        raise ValueError(f"{folder}: no such {kind.__name__}: {error}") from error
    return LoadedTask(task=task, classes=classes, path=Path(folder))
