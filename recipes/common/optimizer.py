"""Optimisers and rates that recipes share."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from torch import nn
from torch.optim import AdamW

from avblocks.optim import decayed_rates, layer_decay_groups, scaled_lr
from recipes.common.data import Data
from recipes.engine.run import Run


class Rated(Protocol):
    """What the configuration of every recipe that trains has."""

    @property
    def run(self) -> Run: ...
    @property
    def batch(self) -> int: ...
    @property
    def epochs(self) -> int: ...
    @property
    def warmup(self) -> int: ...
    @property
    def base_lr(self) -> float: ...


class Training(Rated, Protocol):
    """What that of a recipe of a head has besides."""

    @property
    def data(self) -> Data: ...
    @property
    def evaluate_every(self) -> int: ...


class FineTuning(Training, Protocol):
    """What a fine-tuning recipe's configuration has besides."""

    @property
    def layer_decay(self) -> float: ...
    @property
    def weight_decay(self) -> float: ...


def adamw(
    model: nn.Module, config: FineTuning, *, depth: int, samples: int
) -> tuple[AdamW, Callable[[float], Sequence[float]]]:
    """Make AdamW with layer decay over `model.encoder`, and its schedule.

    Args:
        model: The encoder, as `encoder`, and whatever is trained on it.
        config: Batch, length and rates.
        depth: Blocks of the encoder.
        samples: Samples an epoch; the learning rate is that of no larger batch.

    Returns:
        The optimiser, and its groups' learning rates by epoch.
    """
    groups = layer_decay_groups(
        model, depth=depth, lr_decay=config.layer_decay, weight_decay=config.weight_decay
    )
    lr = peak_lr(config, samples=samples)
    rates = partial(decayed_rates, groups, lr=lr, epochs=config.epochs, warmup=config.warmup)
    return AdamW(groups, lr=lr, fused=fused(config.run)), rates


def check_warmup(config: Rated) -> None:
    """Check the length of the warm-up, before anything is read.

    Raises:
        ValueError: If it is not shorter than the training.
    """
    if not 0 <= config.warmup < config.epochs:
        raise ValueError(f"--warmup {config.warmup} must be less than --epochs {config.epochs}")


def peak_lr(config: Rated, *, samples: int) -> float:
    """The learning rate after the warm-up, for the samples behind one update.

    Args:
        config: Its base rate is that for 256 samples.
        samples: Samples an epoch, which no update has more than.
    """
    update = min(config.batch * config.run.batches_per_step, samples * config.run.accumulate)
    return scaled_lr(config.base_lr, batch=update)


def fused(run: Run) -> bool:
    """Whether AdamW may take all parameters in one pass.

    With a loss scaler it would also undo the scale itself, and so hide the gradient's norm.
    """
    return run.precision != "16-mixed"
