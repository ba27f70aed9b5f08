"""Class-balanced classification losses, and the initial bias that matches them."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from avblocks.shapes import expect, require


def class_frequency(targets: Float[Tensor, "b classes"]) -> Float[Tensor, " classes"]:
    """Compute the fraction of the samples that have each class.

    Args:
        targets: multi-hot labels of a whole training set.

    Raises:
        ValueError: if there are no samples.

    Example:
        >>> class_frequency(torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]))
        tensor([0.7500, 0.5000])
    """
    expect(targets=(targets, "b classes"))
    require(len(targets) > 0, "targets", len(targets), "at least one sample")
    return targets.mean(dim=0)


def balanced_bias(
    frequency: Float[Tensor, " classes"], *, multilabel: bool, floor: float = 1e-3
) -> Float[Tensor, " classes"]:
    """Compute the initial bias for which a head with zero weights predicts the class frequencies.

    For multi-label targets it is ``log((p + floor) / (1 - p + floor))``, the inverse of a sigmoid;
    otherwise ``log(p + floor)``, the inverse of a softmax. The reference uses the former for both:
    with its 309 classes, of 0.3% each, the two differ by 0.003.

    Args:
        frequency: fraction of the samples that have each class.
        multilabel: whether a sample may have several classes.
        floor: small constant that keeps the bias of absent classes finite (reference: 1e-3).

    Raises:
        ValueError: if a frequency is not in [0, 1] or ``floor`` is negative.

    Example:
        >>> balanced_bias(torch.tensor([0.5, 0.25, 0.25]), multilabel=False, floor=0.0).softmax(0)
        tensor([0.5000, 0.2500, 0.2500])
    """
    _require_frequency(frequency)
    require(floor >= 0.0, "floor", floor, "zero or above")
    log = torch.log(frequency + floor)
    return log - torch.log(1 - frequency + floor) if multilabel else log


def balanced_loss(
    logits: Float[Tensor, "b classes"],
    target: Float[Tensor, "b classes"],
    *,
    frequency: Float[Tensor, " classes"] | None = None,
    multilabel: bool = False,
) -> Float[Tensor, ""]:
    """Cross entropy of soft targets, or binary cross entropy, with more weight on rare classes.

    If frequencies are given, the loss of each class is divided by its frequency. The weights are
    scaled to a mean of 1, over the samples in cross entropy and over the classes in binary cross
    entropy, so that equal frequencies result in the unweighted loss. A class of frequency 0 is
    excluded, also from the softmax (reference).

    For single-label targets, the reference divides after the mean over classes, which has no
    effect; this loss follows the paper.

    Args:
        logits: one row per sample.
        target: soft targets: rows that sum to 1 or, with ``multilabel``, values in [0, 1].
        frequency: fraction of the training samples that have each class.
        multilabel: use binary cross entropy, with the mean over samples and classes.

    Raises:
        ValueError: if shapes differ.

    Example:
        >>> logits, target = torch.tensor([[2.0, 0.0]]), torch.tensor([[1.0, 0.0]])
        >>> balanced_loss(logits, target)
        tensor(0.1269)
        >>> balanced_loss(logits, target, frequency=torch.tensor([0.25, 0.75]))
        tensor(0.2539)
    """
    shares = {} if frequency is None else {"frequency": (frequency, "classes")}
    expect(logits=(logits, "b classes"), target=(target, "b classes"), **shares)
    if frequency is None:
        plain = F.binary_cross_entropy_with_logits if multilabel else F.cross_entropy
        return plain(logits, target)
    absent = frequency == 0
    inverse = torch.where(absent, 0.0, 1 / frequency)
    count = (~absent).sum()
    if multilabel:
        weight = inverse / inverse.sum()
        each = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    else:
        weight = inverse * frequency.sum() / count
        scores = logits.masked_fill(absent, -torch.inf).log_softmax(dim=1)
        each = -target * scores.masked_fill(absent, 0.0)
    return (each * weight).sum(dim=1).mean()


def _require_frequency(frequency: Float[Tensor, " classes"]) -> None:
    lowest, highest = frequency.aminmax()
    fits = bool(lowest >= 0) and bool(highest <= 1)
    require(fits, "frequency", (lowest.item(), highest.item()), "in [0, 1]")
