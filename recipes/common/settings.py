"""The settings of every recipe that trains, and of those that train a head on an encoder."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Self

from avblocks.tasks.classify import Given
from recipes.common.data import Data
from recipes.common.model import Model, check_sizes
from recipes.common.sets import DataName
from recipes.engine.run import Run


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Everything that a training run depends on."""

    data: Data
    """The clips to train and to test on."""

    model: Model = field(default_factory=Model)
    """Sizes of the encoder; those of the decoders count in pre-training alone."""

    run: Run = field(default_factory=Run)
    """Folder, length, hardware, saves."""

    batch: int
    """Clips, or groups of clips, in a batch of one process."""

    epochs: int
    """Number of epochs."""

    warmup: int
    """Epochs over which the learning rate rises from 0."""

    base_lr: float
    """Learning rate for 256 samples an update; it grows with their number."""

    evaluate_every: int = 10
    """Epochs between evaluations on the test clips."""

    def on(self, name: DataName, **changes: Any) -> Self:
        """Return these settings for another data set at the usual sizes, and with other changes."""
        return replace(self, data=Data(name=name), **changes)

    def check(self, *, compiles: bool = True) -> None:
        """Check that the settings fit together, in the user's own words.

        Args:
            compiles: Whether the task calls the encoder as a whole, so that it can be compiled.

        Raises:
            ValueError: If they do not.
        """
        if self.run.compile and not compiles:
            raise ValueError("this task reads every layer by itself: leave --run.compile out")
        if not 0 <= self.warmup < self.epochs:
            raise ValueError(f"--warmup {self.warmup} must be less than --epochs {self.epochs}")
        for name in ("batch", "evaluate_every", "windows"):
            if getattr(self, name, 1) < 1:
                raise ValueError(f"--{name.replace('_', '-')} must be at least 1")
        check_sizes(self.model, self.data)


@dataclass(frozen=True, kw_only=True)
class TaskConfig(TrainConfig):
    """Besides, the encoder that a head is trained on."""

    checkpoint: Path | None
    """A run folder, a checkpoint in one, or a published file; None: from scratch."""


@dataclass(frozen=True, kw_only=True)
class ClassifyConfig(TaskConfig):
    """Besides, what a classifier depends on."""

    given: Given = "both"
    """Modalities the encoder is given."""

    pooling: Literal["mean", "attentive"] = "mean"
    """Pooling of a stream's tokens into one vector."""

    windows: int = 1
    """Windows of a test clip, evenly spread, whose logits are averaged."""


@dataclass(frozen=True, kw_only=True)
class FineTuneConfig(TaskConfig):
    """Besides, what AdamW with layer decay depends on."""

    layer_decay: float = 0.75
    """Factor on the learning rate from each layer to the one before it."""

    weight_decay: float = 0.05
    """AdamW weight decay (not applied to biases and norms)."""

    drop_path: float = 0.0
    """Stochastic depth of the encoder's blocks."""
