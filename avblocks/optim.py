"""Parameter groups and schedules, as functions of the epoch."""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from torch import nn

from avblocks.shapes import require, require_above_zero, require_positive


def cosine_lr(epoch: float, *, lr: float, epochs: float, warmup: float = 0.0) -> float:
    """Learning rate: linear from 0 over the warm-up, then half a cosine to 0 (MAE).

    Args:
        epoch: where training stands, in epochs and parts of them.
        lr: the highest rate.
        epochs: where it ends.
        warmup: epochs of warm-up.

    Raises:
        ValueError: if there are no epochs or the warm-up is not shorter than they are.

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
    """Factor on the rate of parameters that start pre-trained: half a cosine from 0 to 1.

    Args:
        epoch: where training stands.
        epochs: when the factor reaches 1; the paper takes half of training.

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
    """Learning rate of each group in pre-training, a function of the epoch alone.

    Args:
        groups: from `param_groups`; those that start pre-trained have the multiplier over the
            first half of training.
        epoch: where training stands.
        lr: the highest rate.
        epochs: where it ends.
        warmup: epochs of warm-up.

    Example:
        >>> groups = [{"pretrained": False}, {"pretrained": True}]
        >>> [round(rate, 3) for rate in group_rates(groups, 2, lr=1.0, epochs=8, warmup=2)]
        [1.0, 0.5]
    """
    rate = cosine_lr(epoch, lr=lr, epochs=epochs, warmup=warmup)
    gentle = rate * pretrained_multiplier(epoch, epochs=epochs / 2)
    return [gentle if group["pretrained"] else rate for group in groups]


def scaled_lr(base_lr: float, *, batch: int) -> float:
    """Linear scaling: ``base_lr * batch / 256``, ``batch`` being all that one update sees.

    Raises:
        ValueError: if ``batch`` is not positive.
    """
    require_positive(batch=batch)
    return base_lr * batch / 256


def param_groups(
    model: nn.Module, *, weight_decay: float = 0.05, pretrained: Collection[str] = ()
) -> list[dict[str, Any]]:
    """Groups for AdamW: no decay on vectors (biases and norms), pre-trained parameters apart.

    Fusion and mask tokens are tables and decay, as in the reference.

    Args:
        model: the model; parameters without a gradient are left out.
        weight_decay: decay of the matrices.
        pretrained: names of the parameters that start pre-trained, such as a load report's
            ``loaded``.

    Returns:
        At most four groups with ``params``, ``weight_decay`` and ``pretrained``.

    Raises:
        ValueError: if the decay is negative, or a pre-trained name not in the model's state.
    """
    require(weight_decay >= 0.0, "weight_decay", weight_decay, "zero or above")
    unknown = set(pretrained) - set(model.state_dict())
    require(not unknown, "pretrained", sorted(unknown)[:4], "names of the model's state")
    groups: dict[tuple[bool, bool], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        decays, starts = parameter.ndim > 1, name in pretrained
        empty = {
            "params": [],
            "weight_decay": weight_decay if decays else 0.0,
            "pretrained": starts,
        }
        groups.setdefault((decays, starts), empty)["params"].append(parameter)
    return list(groups.values())
