"""Classification metrics: accuracies, average precision, AUC, d-prime.

All functions take ``scores``, of which only the order matters, and a ``target`` of 1 for each class
of a sample and 0 elsewhere. Metrics per class are NaN for classes for which they are undefined; the
means exclude such classes, and are NaN if no class is left.
"""

import math

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from avblocks.metrics.values import last_of_equal, require_binary, require_numbers
from avblocks.shapes import expect, require


def top_k(
    scores: Float[Tensor, "b classes"], target: Float[Tensor, "b classes"], *, k: int = 1
) -> float:
    """Top-k accuracy: fraction of the samples with a class among the k highest scores.

    Among equal scores, the lower class number comes first. Samples without a class are excluded.

    Raises:
        ValueError: if ``k`` is not between 1 and the number of classes or, as for all functions of
            this module, shapes differ, a score is NaN, or the target is not 0 or 1.

    Example:
        >>> top_k(torch.tensor([[0.1, 0.9], [0.8, 0.2]]), torch.eye(2))
        0.0
    """
    hits = (first_classes(scores, target, k=k) & (target == 1)).any(dim=1)
    return hits[(target == 1).any(dim=1)].double().mean().item()


def first_classes(
    scores: Float[Tensor, "b classes"], target: Float[Tensor, "b classes"], *, k: int
) -> Bool[Tensor, "b classes"]:
    """Return True for the k classes of the highest scores of each sample, see `top_k`."""
    _labels(scores, target)
    fits = isinstance(k, int) and 1 <= k <= scores.shape[1]
    require(fits, "k", k, f"an integer from 1 to the {scores.shape[1]} classes")
    first = scores.argsort(dim=1, descending=True, stable=True)[:, :k]
    return torch.zeros_like(scores, dtype=torch.bool).scatter_(1, first, True)


def class_accuracy(
    scores: Float[Tensor, "b classes"], target: Float[Tensor, "b classes"]
) -> Float[Tensor, " classes"]:
    """Accuracy of each class: fraction of its samples in which it has the highest score.

    NaN for a class without samples.

    Example:
        >>> class_accuracy(torch.eye(3), torch.tensor([[1.0, 0, 0], [1.0, 0, 0], [0, 0, 1.0]]))
        tensor([0.5000,    nan, 1.0000], dtype=torch.float64)
    """
    labels = _labels(scores, target)
    found = torch.zeros_like(labels).scatter_(1, scores.argmax(dim=1, keepdim=True), True)
    return (labels & found).sum(dim=0) / labels.sum(dim=0).double()


def average_precision(
    scores: Float[Tensor, "b classes"], target: Float[Tensor, "b classes"]
) -> Float[Tensor, " classes"]:
    """Average precision of each class: the sum over thresholds of precision times recall step.

    Equals scikit-learn's (not interpolated), the convention of AudioSet. Equal scores pass a
    threshold together. NaN for a class without samples.

    Example:
        >>> scores = torch.tensor([[0.9], [0.8], [0.7], [0.6]])
        >>> average_precision(scores, torch.tensor([[1.0], [0.0], [1.0], [0.0]]))
        tensor([0.8333], dtype=torch.float64)
    """
    values = []
    for found, passed in _curves(scores, target):
        values.append((found.diff() * found[1:] / passed[1:]).sum() / found[-1])
    return torch.stack(values)


def auc(
    scores: Float[Tensor, "b classes"], target: Float[Tensor, "b classes"]
) -> Float[Tensor, " classes"]:
    """Area under the receiver operating characteristic of each class.

    Equals the fraction of correctly ordered pairs of a sample with the class and one without it,
    with ties counted half. NaN for a class that no sample or every sample has.

    Example:
        >>> scores = torch.tensor([[0.9], [0.8], [0.7], [0.6]])
        >>> auc(scores, torch.tensor([[1.0], [0.0], [1.0], [0.0]]))
        tensor([0.7500], dtype=torch.float64)
    """
    values = []
    for found, passed in _curves(scores, target):
        wrong = passed - found
        values.append(torch.trapezoid(found, wrong) / (found[-1] * wrong[-1]))
    return torch.stack(values)


def mean_class_accuracy(
    scores: Float[Tensor, "b classes"], target: Float[Tensor, "b classes"]
) -> float:
    """Mean of `class_accuracy` over the classes that have samples."""
    return class_accuracy(scores, target).nanmean().item()


def mean_average_precision(
    scores: Float[Tensor, "b classes"], target: Float[Tensor, "b classes"]
) -> float:
    """Mean of `average_precision` over the classes that have samples."""
    return average_precision(scores, target).nanmean().item()


def mean_auc(scores: Float[Tensor, "b classes"], target: Float[Tensor, "b classes"]) -> float:
    """Mean of `auc` over the classes with both positive and negative samples."""
    return auc(scores, target).nanmean().item()


def d_prime(scores: Float[Tensor, "b classes"], target: Float[Tensor, "b classes"]) -> float:
    """d-prime of the mean AUC: ``sqrt(2) ppf(mean AUC)``.

    Infinite if every class is separated without error.

    Example:
        >>> scores = torch.tensor([[0.9], [0.8], [0.7], [0.6]])
        >>> round(d_prime(scores, torch.tensor([[1.0], [0.0], [1.0], [0.0]])), 4)
        0.9539
    """
    return _d_prime(mean_auc(scores, target))


def confusion_matrix(
    scores: Float[Tensor, "b classes"], target: Float[Tensor, "b classes"]
) -> Int64[Tensor, "classes classes"]:
    """Number of samples of each true class (row) by predicted class (column).

    Raises:
        ValueError: if a sample does not have exactly one class.

    Example:
        >>> scores = torch.tensor([[0.1, 0.9], [0.2, 0.8], [0.9, 0.1]])
        >>> confusion_matrix(scores, torch.eye(2)[[0, 1, 1]])
        tensor([[0, 1],
                [1, 1]])
    """
    labels = _labels(scores, target)
    counts = labels.sum(dim=1)
    require(bool((counts == 1).all()), "target", counts.unique().tolist(), "one class a sample")
    classes = scores.shape[1]
    cells = labels.long().argmax(dim=1) * classes + scores.argmax(dim=1)
    return cells.bincount(minlength=classes**2).reshape(classes, classes)


def classification_scores(
    scores: Float[Tensor, "b classes"], target: Float[Tensor, "b classes"], *, multilabel: bool
) -> dict[str, float]:
    """Compute the usual scores of a classifier.

    Args:
        scores: logits or probabilities.
        target: 1 for each class of a sample, else 0.
        multilabel: whether a sample may have several classes; the accuracies are then omitted.

    Returns:
        In percent: ``top1``, ``top5`` (100 for five classes or fewer), ``class_accuracy``, ``map``
        and ``auc``; ``d_prime``; and ``classes``, the number of classes with samples, over which
        the means are taken.

    Example:
        >>> classification_scores(torch.eye(3)[:2], torch.eye(3)[:2], multilabel=True)
        {'map': 100.0, 'auc': 100.0, 'd_prime': inf, 'classes': 2.0}
    """
    area = mean_auc(scores, target)
    ranking = {
        "map": 100 * mean_average_precision(scores, target),
        "auc": 100 * area,
        "d_prime": _d_prime(area),
        "classes": float(target.any(dim=0).sum()),
    }
    if multilabel:
        return ranking
    accuracies = {
        "top1": 100 * top_k(scores, target),
        "top5": 100 * top_k(scores, target, k=min(5, scores.shape[1])),
        "class_accuracy": 100 * mean_class_accuracy(scores, target),
    }
    return accuracies | ranking


def _labels(scores: Tensor, target: Tensor) -> Bool[Tensor, "b classes"]:
    expect(scores=(scores, "b classes"), target=(target, "b classes"))
    require_numbers(scores=scores)
    require_binary(target=target)
    return target == 1


def _curves(scores: Tensor, target: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Count, per class, the samples with the class and all samples that pass each threshold."""
    labels = _labels(scores, target)
    return [_curve(scores[:, c], labels[:, c]) for c in range(scores.shape[1])]


def _curve(
    scores: Float[Tensor, " b"], labels: Bool[Tensor, " b"]
) -> tuple[Float[Tensor, " thresholds"], Float[Tensor, " thresholds"]]:
    ordered, places = scores.sort(descending=True)
    zero = torch.zeros(1, dtype=torch.float64, device=scores.device)
    passed = last_of_equal(ordered).nonzero()[:, 0] + 1  # equal scores pass together
    found = labels[places].double().cumsum(dim=0)[passed - 1]
    return torch.cat((zero, found)), torch.cat((zero, passed.double()))


def _d_prime(area: float) -> float:
    return math.sqrt(2) * torch.special.ndtri(torch.tensor(area, dtype=torch.float64)).item()
