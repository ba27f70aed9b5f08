"""Evaluation loop of all tasks, and the interfaces of tasks and scorers."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from operator import attrgetter
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from avblocks.data import AVBatch, FrontEnd
from avblocks.distributed import rank_and_world
from avblocks.encoder import AVEncoder, AVTokens
from avblocks.progress import progress_bar
from avblocks.shapes import require

OnBatch = Callable[[AVBatch], object]
"""A function that is called with each batch, for example to list skipped files."""
Given = Literal["both", "image", "audio"]
"""The modalities that the encoder is given."""
Scores = Mapping[str, Mapping[str, float]]
"""Numbers by test condition and metric; the first row is the main result of the task."""


class Task(nn.Module, ABC):
    """A model with its losses: a call with a batch returns the scalar ``loss`` and others.

    Attributes:
        front_end: Front end, from batches to images and spectrograms; `front_end.format` is the
            clip format of the model.
    """

    front_end: FrontEnd

    @property
    def device(self) -> torch.device:
        """The device of the model."""
        return next(self.parameters()).device

    @abstractmethod
    def encode(self, batch: AVBatch, *, given: Given = "both") -> AVTokens:
        """Encode whole clips, image and audio together or one of them alone."""

    def settings(self) -> dict[str, Any]:
        """Return the arguments of the constructor that are plain values, to build it again."""
        return {}


class HeadTask(Task):
    """A task with a front end, an encoder and a head."""

    encoder: AVEncoder

    def encode(self, batch: AVBatch, *, given: Given = "both") -> AVTokens:
        """Encode whole clips, image and audio together or one of them alone."""
        return encoded(self.encoder, *self.front_end(batch), given=given)


def with_parts(name: str, module: nn.Module, *parts: str, like: str) -> Any:
    """Return a module, ours or a user's, which has what a task calls.

    Raises:
        ValueError: If it lacks one of the ``parts``, such as ``image.grid``; the message refers to
            the class ``like``, which has them.
    """
    for part in parts:
        try:
            attrgetter(part)(module)
        except AttributeError as error:
            kind = type(module).__name__
            raise ValueError(
                f"{name} {kind} has no `{part}`, which this task calls: see that of {like}"
            ) from error
    return module


def require_one_image(front_end: FrontEnd) -> None:
    """Raise a ``ValueError`` if the clips of a task with one map each are videos."""
    takes = "1: this task looks at one image of a clip"
    require(front_end.format.frames == 1, "format.frames", front_end.format.frames, takes)


def encoded(
    encoder: nn.Module, image: Tensor | None, audio: Tensor | None, *, given: Given
) -> AVTokens:
    """Encode the modalities that are given."""
    return encoder(
        image=None if given == "audio" else image, audio=None if given == "image" else audio
    )


@runtime_checkable
class Scorer(Protocol):
    """Protocol of a scorer: `reset`, `update` with each batch, then `compute` in every process."""

    @property
    def task(self) -> Task:
        """The model that is scored."""
        ...

    def reset(self) -> None:
        """Discard all batches."""
        ...

    def update(self, batch: AVBatch) -> None:
        """Score a batch, which is on the device of the model and has at least one clip."""
        ...

    def compute(self) -> Scores:
        """Return the scores of the batches of all processes; empty if there were none."""
        ...


@torch.no_grad()
def evaluate(
    scorer: Scorer,
    loader: Iterable[AVBatch],
    *,
    on_batch: OnBatch | None = None,
    about: str = "test",
) -> Scores:
    """Score a model on all batches, in evaluation mode, without gradients.

    Args:
        scorer: Scorer of the model.
        loader: Batches; in each process, its part of them.
        on_batch: Called with each batch before it is scored.
        about: Label of the progress bar.

    Returns:
        The scores over all processes; empty if no clip can be used.
    """
    require(isinstance(scorer, Scorer), "scorer", scorer, "a Scorer: reset, update, compute, task")
    scorer.reset()
    hidden = rank_and_world()[0] != 0
    with evaluation_mode(scorer.task):
        for batch in progress_bar(loader, about, unit="batch", leave=False, disable=hidden):
            if on_batch is not None:
                on_batch(batch)
            if len(batch):
                scorer.update(batch.to(scorer.task.device))
        return scorer.compute()


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Set a model to evaluation mode during the block, then restore the mode of each module."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training


def first_row(scores: Scores) -> dict[str, float]:
    """Return the main result of a task; empty if nothing was scored."""
    return dict(next(iter(scores.values()), {}))


def first_batch(loader: Iterable[AVBatch], task: Task) -> AVBatch | None:
    """Return the first batch that is not empty, on the device of the model, or None."""
    batch = next((batch for batch in loader if len(batch)), None)
    return None if batch is None else batch.to(task.device)


def joined(parts: list[Tensor]) -> Tensor:
    """Concatenate rows; the list may be empty."""
    return torch.cat(parts) if parts else torch.zeros(0)
