"""Learning rates computed from the epoch; there is no scheduler state."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from avblocks.shapes import require, require_above_zero, require_positive


def cosine_lr(epoch: float, *, lr: float, epochs: float, warmup: float = 0.0) -> float:
    """Cosine schedule: linear warm-up from 0, then half a cosine to 0 (MAE).

    Args:
        epoch: epochs done so far, a fraction within an epoch.
        lr: peak learning rate.
        epochs: total number of epochs.
        warmup: warm-up epochs.

    Raises:
        ValueError: if ``epochs`` is not above zero or ``warmup`` not in [0, ``epochs``).

    Example:
        >>> [cosine_lr(e, lr=1.0, epochs=6, warmup=2) for e in (0, 1, 2, 4, 6)]
        [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    require_above_zero(epochs=epochs)
    require(0 <= warmup < epochs, "warmup", warmup, f"in [0, {epochs}) epochs")
    if epoch < warmup:
        return lr * epoch / warmup
    progress = min((epoch - warmup) / (epochs - warmup), 1.0)
    return lr * 0.5 * (1.0 + math.cos(math.pi * progress))


def pretrained_multiplier(epoch: float, *, epochs: float) -> float:
    """Factor on the learning rate of pre-trained parameters: half a cosine from 0 to 1.

    Args:
        epoch: epochs done so far.
        epochs: epoch at which the factor reaches 1 (paper: half of training).

    Raises:
        ValueError: if ``epochs`` is not above zero.

    Example:
        >>> [round(pretrained_multiplier(e, epochs=100), 3) for e in (0, 50, 100, 150)]
        [0.0, 0.5, 1.0, 1.0]
    """
    require_above_zero(epochs=epochs)
    if epoch >= epochs:
        return 1.0
    return 0.5 - 0.5 * math.cos(math.pi * epoch / epochs)


def group_rates(
    groups: Sequence[Mapping[str, Any]], epoch: float, *, lr: float, epochs: float, warmup: float
) -> list[float]:
    """Learning rate of each group in pre-training.

    Args:
        groups: groups from `param_groups`; in the first half of training, the rate of pre-trained
            groups is multiplied by `pretrained_multiplier`.
        epoch: epochs done so far.
        lr: peak learning rate.
        epochs: total number of epochs.
        warmup: warm-up epochs.

    Example:
        >>> groups = [{"pretrained": False}, {"pretrained": True}]
        >>> [round(rate, 3) for rate in group_rates(groups, 2, lr=1.0, epochs=8, warmup=2)]
        [1.0, 0.5]
    """
    rate = cosine_lr(epoch, lr=lr, epochs=epochs, warmup=warmup)
    gentle = rate * pretrained_multiplier(epoch, epochs=epochs / 2)
    return [gentle if group["pretrained"] else rate for group in groups]


def decayed_rates(
    groups: Sequence[Mapping[str, Any]], epoch: float, *, lr: float, epochs: float, warmup: float
) -> list[float]:
    """Learning rate of each group in fine-tuning with layer decay.

    Args:
        groups: groups from `layer_decay_groups`, each with its ``lr_scale``.
        epoch: epochs done so far.
        lr: peak learning rate.
        epochs: total number of epochs.
        warmup: warm-up epochs.

    Example:
        >>> decayed_rates([{"lr_scale": 1.0}, {"lr_scale": 0.75}], 2, lr=1.0, epochs=8, warmup=2)
        [1.0, 0.75]
    """
    rate = cosine_lr(epoch, lr=lr, epochs=epochs, warmup=warmup)
    return [rate * group["lr_scale"] for group in groups]


def scaled_lr(base_lr: float, *, batch: int) -> float:
    """Linear scaling of the learning rate: ``base_lr * batch / 256``.

    Args:
        base_lr: learning rate for a batch of 256 samples.
        batch: samples per update, over all processes.

    Raises:
        ValueError: if ``batch`` is not positive.
    """
    require_positive(batch=batch)
    return base_lr * batch / 256
