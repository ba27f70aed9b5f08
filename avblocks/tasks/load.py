"""Save and load task modules, with the names of their classes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from avblocks.checkpoint import from_pretrained, save_pretrained
from avblocks.checkpoint.whole import unwrapped
from avblocks.data import ClipFormat
from avblocks.heads import Classifier, Localizer, Segmenter, Separator, answering
from avblocks.shapes import require
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
        trained_on: data and length of the training, in words; empty if they are not known.
    """

    task: HeadTask
    classes: tuple[str, ...]
    path: Path
    trained_on: str = ""

    @property
    def format(self) -> ClipFormat:
        """The clip format of the task."""
        return self.task.front_end.format

    @property
    def name(self) -> str:
        """The task in one word: classification, localization, segmentation or separation."""
        return type(self.task).__name__.lower()


def save_task(
    task: nn.Module, folder: str | Path, *, classes: Sequence[str] = (), trained_on: str = ""
) -> None:
    """Save a task module in the format of `save_pretrained`.

    Args:
        task: task module, also wrapped by ``torch.compile`` or DDP; its encoder, head, front end
            and settings are saved.
        folder: output folder; an earlier save in it is replaced.
        classes: names of the classes, in the order of the logits.
        trained_on: data and length of the training, in words.

    Raises:
        ValueError: if a part was not built by a builder of avblocks, the class is not supported, or
            a classifier has another number of classes.
        OSError: as in `save_pretrained`.
    """
    inside: Any = unwrapped(task)
    name = type(inside).__name__.lower()
    if name not in _TASKS or _TASKS[name][0] is not type(inside):
        raise ValueError(f"task must be one of {tuple(_TASKS)}, got a {type(inside).__name__}")
    head = answering(inside.get_submodule("head"))
    if classes and isinstance(head, Classifier):
        count = head.fusion.num_classes
        require(len(classes) == count, "classes", len(classes), "names of the head's {}", count)
    about = {"name": name, "classes": list(classes), "settings": inside.settings()}
    about |= {"trained_on": trained_on} if trained_on else {}
    save_pretrained(inside.encoder, folder, front_end=inside.front_end, head=head, task=about)


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
    trained_on = str(found.task.get("trained_on", ""))
    return LoadedTask(task=task, classes=classes, path=Path(folder), trained_on=trained_on)
