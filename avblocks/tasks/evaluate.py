"""One loop for every evaluation: batches through a model, scores of all processes out."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from tqdm import tqdm

from avblocks.data import AVBatch, FrontEnd
from avblocks.distributed import rank_and_world
from avblocks.encoder import AVEncoder, AVTokens
from avblocks.shapes import require

OnBatch = Callable[[AVBatch], object]
"""Called with each batch, for instance to list skipped files."""
Scores = Mapping[str, Mapping[str, float]]
"""Numbers by what was tested and by metric; the first row is what the task is about."""


class Task(nn.Module, ABC):
    """A model with its losses: called with a batch, it returns the scalar ``loss`` and others.

    Attributes:
        front_end: From batches to images and spectrograms; `front_end.format` says how a clip
            looks to the model.
    """

    front_end: FrontEnd

    @property
    def device(self) -> torch.device:
        """The device of the model."""
        return next(self.parameters()).device

    @abstractmethod
    def encode(self, batch: AVBatch) -> AVTokens:
        """Encode whole clips, image and audio together."""

    def settings(self) -> dict[str, Any]:
        """Return the arguments of the constructor that are plain values, to build it again."""
        return {}


class HeadTask(Task):
    """A front end, an encoder and a head, from a batch to its loss."""

    encoder: AVEncoder

    def encode(self, batch: AVBatch) -> AVTokens:
        """Encode whole clips, image and audio together."""
        image, audio = self.front_end(batch)
        return self.encoder(image=image, audio=audio)


@runtime_checkable
class Scorer(Protocol):
    """Scores a task: `reset`, `update` with each batch, `compute` once in every process."""

    @property
    def task(self) -> Task:
        """The model that is scored."""
        ...

    def reset(self) -> None:
        """Forget all batches."""
        ...

    def update(self, batch: AVBatch) -> None:
        """Score a batch, which is on the model's device and has a clip at least."""
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
        scorer: What is measured, and of which model.
        loader: Batches; each process its share of them.
        on_batch: Called with each batch before it is scored.
        about: Label of the progress bar.

    Returns:
        The scores of all processes together; empty if no clip can be used.
    """
    require(isinstance(scorer, Scorer), "scorer", scorer, "a Scorer: reset, update, compute, task")
    scorer.reset()
    hidden = None if rank_and_world()[0] == 0 else True
    with evaluation_mode(scorer.task):
        for batch in tqdm(loader, about, unit="batch", leave=False, disable=hidden):
            if on_batch is not None:
                on_batch(batch)
            if len(batch):
                scorer.update(batch.to(scorer.task.device))
        return scorer.compute()


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Set a model to evaluation mode, and each of its modules back to its own mode afterwards."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training


def first_row(scores: Scores) -> dict[str, float]:
    """Return the row that a task is about; empty if nothing was scored."""
    return dict(next(iter(scores.values()), {}))


def first_batch(loader: Iterable[AVBatch], task: Task) -> AVBatch | None:
    """Return the first batch with a clip in it, on the model's device, or None."""
    batch = next((batch for batch in loader if len(batch)), None)
    return None if batch is None else batch.to(task.device)


def joined(parts: list[Tensor]) -> Tensor:
    """Join rows; a process may have none of them."""
    return torch.cat(parts) if parts else torch.zeros(0)
