"""`fit` runs a `Job`. What it runs on, Lightning's Trainer, is known to `_engine*.py` alone."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from avblocks.data.datasets import ClipSet
from recipes.engine.run import Run


@dataclass(frozen=True, kw_only=True)
class Job:
    """A model, what to train it on and how, and what to do on the way."""

    model: nn.Module
    """Called with a batch, returns a dict of tensors: the scalar `loss`, and other scalars to be
    logged."""

    train: Callable[[int, int], DataLoader[Any]]
    """From (rank, world size), makes the loader of that process, with a batch sampler such as
    `avblocks.data.keyed.KeyedBatches`. Batches have a `to(device, non_blocking)` method, and may
    have `paths` to be named in errors."""

    optimizer: Optimizer
    """Over the model's parameters."""

    schedule: Callable[[float], Sequence[float]]
    """From the epochs done so far, a fraction, to the learning rate of each group of the optimiser;
    0.0 before the first step."""

    epochs: int
    """Times that every sample is seen."""

    run: Run
    """The settings all recipes share; `run.dir` must be set."""

    config: Any
    """All settings of the recipe, a dataclass or dict; kept in `config.json`. A run resumed with
    others is refused."""

    free: Collection[str] = ()
    """Dotted names in `config` that a resumed run may change, such as `data.root`."""

    clips: Mapping[str, ClipSet | None] = field(default_factory=dict)
    """The data by what it is for, as "train" and "test"; how many are listed, on disk and missing
    is kept in `config.json`, and a run resumed on others to train on is refused."""

    evaluate: Callable[[nn.Module, int], Mapping[str, float]] | None = None
    """From (model, epochs done) to named numbers; called in every process before training, after
    every `evaluate_every` epochs and at the end, in evaluation mode, without gradients. It cannot
    disturb the training."""

    evaluate_every: int = 1
    """Epochs between evaluations."""

    final: Callable[[nn.Module], object] | None = None
    """Called with the model, as `evaluate` is, once all steps are taken, and again where a finished
    run is resumed."""

    on_batch: Callable[[Any], object] | None = None
    """Called with each batch before the model, for instance to count."""

    compiled: nn.Module | None = None
    """The part of the model that `run.compile` compiles, if not all of it."""

    unused: bool = False
    """Whether some parameters have no part in the loss, which several processes must know."""


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """How a run ended."""

    step: int
    """Optimiser steps behind the model."""

    total: int
    """Optimiser steps of the whole run."""

    rank: int
    """This process; only 0 should write files after `fit`."""

    folder: Path
    """The run folder."""

    scores: Mapping[int, Mapping[str, float]]
    """What each evaluation measured, by step; only in process 0."""

    @property
    def finished(self) -> bool:
        """Whether the whole run is done, and not just `max_steps` of it."""
        return self.step >= self.total


def fit(job: Job) -> Fitted:
    """Train a model; stopped anywhere and resumed, it does bit for bit what it would have done.

    Raises:
        ValueError: If the settings, the run folder or the checkpoint are wrong.
        OSError: If a checkpoint cannot be written.
        FloatingPointError: If the loss or the gradient is not finite.
        SystemExit: With 128 + the signal's number, after SIGTERM, SIGINT or SIGUSR1 and a save.
    """
    # Importing the engine takes seconds, which `--help` and a wrong option should not cost.
    from recipes.engine.launch import run_job

    return run_job(job)
