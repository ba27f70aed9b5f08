"""Optimizers and learning rates of recipes."""

from collections.abc import Callable, Sequence
from functools import partial

from torch.optim import AdamW

from avblocks.optim import decayed_rates, layer_decay_groups, scaled_lr
from avblocks.tasks import HeadTask
from recipes.common.settings import FineTuneConfig, TrainConfig
from recipes.engine.run import Run

Schedule = Callable[[float], Sequence[float]]
"""Function of the (fractional) epochs done that returns the learning rate of each group."""


def adamw(
    model: HeadTask, config: FineTuneConfig, *, samples: int, beta2: float = 0.999
) -> tuple[AdamW, Schedule]:
    """Make AdamW with layer decay over the encoder, and its learning rate schedule.

    The learning rate is scaled by the batch, which counts at most the `samples` of an epoch.
    """
    groups = layer_decay_groups(
        model,
        lr_decay=config.layer_decay,
        weight_decay=config.weight_decay,
    )
    lr = peak_lr(config, samples=samples)
    rates = partial(decayed_rates, groups, lr=lr, epochs=config.epochs, warmup=config.warmup)
    return AdamW(groups, lr=lr, betas=(0.9, beta2), fused=fused(config.run)), rates


def peak_lr(config: TrainConfig, *, samples: int) -> float:
    """Return the learning rate after the warm-up, scaled by the samples per update.

    The base rate is for 256 samples; an update has at most the `samples` of an epoch.
    """
    update = min(config.batch * config.run.batches_per_step, samples * config.run.accumulate)
    return scaled_lr(config.base_lr, batch=update)


def fused(run: Run) -> bool:
    """Return whether to use fused AdamW.

    With a loss scaler, fused AdamW would unscale the gradients itself and hide their norm.
    """
    return run.precision != "16-mixed"
