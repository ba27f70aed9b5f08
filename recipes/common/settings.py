"""Settings of all recipes that train, and of those that train a head on an encoder."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Self

from avblocks.tasks.classify import Given
from recipes.common.checks import check_model, check_numbers
from recipes.common.data_settings import Data
from recipes.common.model import Model
from recipes.common.sets import DataName
from recipes.engine.folder import check_folder
from recipes.engine.launch import check_hardware
from recipes.engine.run import Run
from recipes.engine.tracker import check_tracker


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Settings of a training run."""

    data: Data
    """Data set, clip format and data loading."""

    model: Model = field(default_factory=Model)
    """Sizes of the encoder and, for pre-training, the decoders."""

    run: Run = field(default_factory=Run)
    """Run folder, length, hardware, checkpoints."""

    batch: int
    """Clips, or groups of clips, per batch and process."""

    epochs: int
    """Number of epochs."""

    warmup: int
    """Warm-up epochs, over which the learning rate rises from 0."""

    base_lr: float
    """Learning rate for 256 samples per update; it is scaled linearly with their number."""

    evaluate_every: int = 10
    """Epochs between evaluations on the test clips."""

    def on(self, name: DataName, **changes: Any) -> Self:
        """Return the settings for another data set at its usual sizes, with further changes."""
        return replace(self, data=Data(name=name), **changes)

    def check(self, *, compiles: bool = True) -> None:
        """Check the settings before any data is read; errors name the options.

        Args:
            compiles: Whether the task calls the encoder as a whole, so that it can be compiled.

        Raises:
            ValueError: If a setting is out of range, or the run folder or a device is missing.
        """
        if self.run.compile and not compiles:
            raise ValueError("this task reads every layer by itself: leave --run.compile out")
        check_numbers(self)
        check_model(self.model, self.data, drop_path=getattr(self, "drop_path", 0.0))
        check_hardware(self.run)
        check_tracker(self.run)
        check_folder(self.run)


@dataclass(frozen=True, kw_only=True)
class TaskConfig(TrainConfig):
    """Settings of a training run, and the encoder on which a head is trained."""

    checkpoint: Path | None
    """A run folder, a checkpoint in one, a folder of recipes.export or transformers, or a published
    file; None: from scratch."""

    allow: tuple[str, ...] = ()
    """Suffixes of the names of weights in a published file that may be dropped although the
    published model uses them, such as ls1.gamma."""


@dataclass(frozen=True, kw_only=True)
class ClassifyConfig(TaskConfig):
    """Settings of a training run, and those of a classifier."""

    given: Given = "both"
    """Input modalities of the encoder."""

    pooling: Literal["mean", "attentive"] = "mean"
    """Pooling of the tokens of a stream into one vector."""

    joint: bool = True
    """Use the loss of the averaged logits instead of the mean of the losses of the streams."""

    windows: int = 1
    """Evenly spaced windows of a test clip, whose logits are averaged."""


@dataclass(frozen=True, kw_only=True)
class FineTuneConfig(TaskConfig):
    """Settings of a training run, and those of AdamW with layer decay."""

    layer_decay: float = 0.75
    """Factor on the learning rate from each layer to the one before it."""

    weight_decay: float = 0.05
    """AdamW weight decay (not applied to biases and norms)."""

    drop_path: float = 0.0
    """Stochastic depth of the encoder blocks."""
