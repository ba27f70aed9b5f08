"""Optimizers and learning rates that recipes share."""

from collections.abc import Callable, Sequence
from functools import partial

from torch.optim import AdamW

from avblocks.optim import decayed_rates, layer_decay_groups, scaled_lr
from avblocks.tasks import HeadTask
from recipes.common.settings import FineTuneConfig, TrainConfig
from recipes.engine.run import Run

Schedule = Callable[[float], Sequence[float]]
"""From the epochs done so far, a fraction, to the learning rate of each group."""


def adamw(model: HeadTask, config: FineTuneConfig, *, samples: int) -> tuple[AdamW, Schedule]:
    """Make AdamW with layer decay over the encoder, and the rates of its groups by epoch.

    The learning rate is that of a batch of no more than the `samples` of an epoch.
    """
    groups = layer_decay_groups(
        model,
        lr_decay=config.layer_decay,
        weight_decay=config.weight_decay,
    )
    lr = peak_lr(config, samples=samples)
    rates = partial(decayed_rates, groups, lr=lr, epochs=config.epochs, warmup=config.warmup)
    return AdamW(groups, lr=lr, fused=fused(config.run)), rates


def peak_lr(config: TrainConfig, *, samples: int) -> float:
    """Return the learning rate after the warm-up, for the samples behind one update.

    The base rate is that for 256 samples; no update has more than the `samples` of an epoch.
    """
    update = min(config.batch * config.run.batches_per_step, samples * config.run.accumulate)
    return scaled_lr(config.base_lr, batch=update)


def fused(run: Run) -> bool:
    """Return whether AdamW may take all parameters in one pass.

    With a loss scaler it would also undo the scale itself, and so hide the gradient's norm.
    """
    return run.precision != "16-mixed"
