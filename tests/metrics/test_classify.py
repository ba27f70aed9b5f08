"""Scores of a classification, against loops over samples and thresholds, and torchmetrics."""

import math
import statistics

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close
from torchmetrics.functional.classification import (
    multiclass_accuracy,
    multiclass_confusion_matrix,
    multilabel_auroc,
    multilabel_average_precision,
)

from avblocks.metrics import (
    auc,
    average_precision,
    class_accuracy,
    classification_scores,
    confusion_matrix,
    d_prime,
    mean_auc,
    mean_average_precision,
    mean_class_accuracy,
    top_k,
)

EVERY = (
    auc,
    average_precision,
    class_accuracy,
    confusion_matrix,
    d_prime,
    mean_auc,
    mean_average_precision,
    mean_class_accuracy,
    top_k,
)


def draw(seed: int, b: int, classes: int, *, ties: bool) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    scores = torch.randn(b, classes, generator=random)
    target = (torch.rand(b, classes, generator=random) < 0.4).float()
    return scores.round() if ties else scores, target


def one_hot(seed: int, b: int, classes: int) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (b,), generator=random)
    return torch.randn(b, classes, generator=random), torch.eye(classes)[labels]


def slow_precision(scores: list[float], labels: list[float]) -> float:
    """The mean, over the positives, of the precision among all that score at least as high."""
    precisions = []
    for score, label in zip(scores, labels, strict=True):
        if label:
            passing = [m for s, m in zip(scores, labels, strict=True) if s >= score]
            precisions.append(sum(passing) / len(passing))
    return statistics.mean(precisions) if precisions else math.nan


def slow_auc(scores: list[float], labels: list[float]) -> float:
    """The share of the pairs in the right order, ties by half."""
    positive = [s for s, m in zip(scores, labels, strict=True) if m]
    negative = [s for s, m in zip(scores, labels, strict=True) if not m]
    right = [(p > n) + 0.5 * (p == n) for p in positive for n in negative]
    return statistics.mean(right) if right else math.nan


@given(st.integers(0, 999), st.integers(1, 9), st.integers(1, 4), st.booleans())
def test_ranking_equals_the_loops(seed: int, b: int, classes: int, ties: bool) -> None:
    scores, target = draw(seed, b, classes, ties=ties)
    for metric, slow in ((average_precision, slow_precision), (auc, slow_auc)):
        columns = zip(scores.T.tolist(), target.T.tolist(), strict=True)
        expected = [slow(*column) for column in columns]
        found = metric(scores, target)
        assert_close(found, torch.tensor(expected, dtype=torch.float64), equal_nan=True)


@given(st.integers(0, 999), st.booleans())
def test_ranking_equals_torchmetrics(seed: int, ties: bool) -> None:
    scores, target = draw(seed, 40, 5, ties=ties)
    scores, labels = scores.sigmoid(), target.long()
    each = {"num_labels": 5, "average": None, "thresholds": None}
    theirs = multilabel_average_precision(scores, labels, **each)
    assert_close(average_precision(scores, target).float(), theirs)
    assert_close(auc(scores, target).float(), multilabel_auroc(scores, labels, **each))


@given(st.integers(0, 999), st.integers(3, 6))
def test_accuracies_equal_torchmetrics(seed: int, classes: int) -> None:
    scores, target = one_hot(seed, 40, classes)
    numbers = target.argmax(dim=1)
    for k in (1, 2, 3):
        theirs = multiclass_accuracy(scores, numbers, classes, average="micro", top_k=k)
        assert top_k(scores, target, k=k) == pytest.approx(theirs.item())
    theirs = multiclass_accuracy(scores, numbers, classes, average="macro")
    assert mean_class_accuracy(scores, target) == pytest.approx(theirs.item())
    confusion = multiclass_confusion_matrix(scores, numbers, classes)
    assert torch.equal(confusion_matrix(scores, target), confusion)


@given(st.integers(0, 999), st.integers(1, 6), st.integers(1, 5))
def test_top_k_equals_a_loop(seed: int, b: int, classes: int) -> None:
    scores, target = draw(seed, b, classes, ties=False)
    target[:, 0] = 1 - target[:, 1:].amax(dim=1) if classes > 1 else 1
    for k in range(1, classes + 1):
        hits = []
        for row, labels in zip(scores.tolist(), target.tolist(), strict=True):
            highest = sorted(range(classes), key=lambda c: -row[c])[:k]
            hits.append(any(labels[c] for c in highest))
        assert top_k(scores, target, k=k) == pytest.approx(sum(hits) / b)
    assert top_k(scores, target, k=classes) == 1.0


@given(st.integers(0, 999), st.integers(2, 9))
def test_order_and_scale_do_not_matter(seed: int, b: int) -> None:
    scores, target = draw(seed, b, 4, ties=True)
    order = torch.randperm(b)
    for metric in (auc, average_precision, class_accuracy):
        value = metric(scores, target)
        assert_close(metric(scores[order], target[order]), value, equal_nan=True)
        assert_close(metric(scores.exp() * 3, target), value, equal_nan=True)


def test_a_row_of_equal_scores_goes_to_the_first_class_everywhere() -> None:
    scores, target = torch.zeros(4, 3), torch.eye(3)[[0, 0, 1, 2]]
    assert top_k(scores, target) == 0.5 and top_k(scores, target, k=2) == 0.75
    assert class_accuracy(scores, target).tolist() == [1.0, 0.0, 0.0]
    # Sorting keeps the order of so many only where it is asked to.
    assert [top_k(torch.zeros(1, 99), torch.eye(99)[[c]], k=9) for c in (8, 9)] == [1.0, 0.0]
    assert confusion_matrix(scores, target)[:, 0].tolist() == [2, 1, 1]
    assert auc(scores, target).tolist() == [0.5] * 3
    assert_close(average_precision(scores, target), torch.tensor([0.5, 0.25, 0.25]).double())


def test_classes_without_samples_are_left_out() -> None:
    scores, target = one_hot(3, 30, 4)
    wide = torch.cat((torch.randn(30, 1) - 99, scores), dim=1)
    goal = torch.cat((torch.zeros(30, 1), target), dim=1)
    for metric in (auc, average_precision, class_accuracy):
        value = metric(wide, goal)
        assert value[0].isnan() and torch.equal(value[1:], metric(scores, target))
    few = classification_scores(scores, target, multilabel=False)
    many = classification_scores(wide, goal, multilabel=False)
    assert many == pytest.approx({**few, "top5": many["top5"]}) and few["classes"] == 4.0
    assert confusion_matrix(wide, goal)[0].sum() == 0


def test_a_class_that_every_sample_has() -> None:
    scores, target = torch.randn(5, 1), torch.ones(5, 1)
    assert average_precision(scores, target).tolist() == [1.0]
    assert auc(scores, target).isnan().all() and math.isnan(mean_auc(scores, target))


def test_nothing_to_average_gives_nan() -> None:
    scores, target = torch.randn(3, 2), torch.zeros(3, 2)
    summary = classification_scores(scores, target, multilabel=False)
    assert summary.pop("classes") == 0.0
    assert all(math.isnan(value) for value in summary.values())


def test_samples_without_a_class_are_left_out_of_top_k() -> None:
    scores, target = one_hot(5, 20, 4)
    target[::2] = 0
    assert top_k(scores, target) == top_k(scores[1::2], target[1::2])


def test_infinite_scores_are_ordinary_ones() -> None:
    inf = torch.inf
    scores = torch.tensor([[inf], [inf], [0.0], [-inf], [-inf]])
    target = torch.tensor([[1.0], [0.0], [1.0], [0.0], [1.0]])
    finite = scores.nan_to_num(posinf=1.0, neginf=-1.0)
    assert torch.equal(auc(scores, target), auc(finite, target))
    assert torch.equal(average_precision(scores, target), average_precision(finite, target))


def test_d_prime() -> None:
    scores, target = draw(7, 60, 3, ties=False)
    area = mean_auc(scores, target)
    expected = math.sqrt(2) * statistics.NormalDist().inv_cdf(area)
    assert d_prime(scores, target) == pytest.approx(expected)
    assert d_prime(-scores, target) == pytest.approx(-expected)
    assert d_prime(target, target) == math.inf


def test_large_sets_are_counted_exactly() -> None:
    count = 300_000
    scores = torch.arange(count)[:, None].float() / count
    target = (torch.arange(count) % 2)[:, None].float()
    half = count // 2
    # Of n positives and n negatives that alternate, the higher first: n (n + 1) / 2 pairs fit.
    assert auc(scores, target).item() == pytest.approx((half + 1) / (2 * half), rel=1e-12)


def test_the_summary() -> None:
    scores, target = one_hot(11, 50, 8)
    summary = classification_scores(scores, target, multilabel=False)
    assert summary == {
        "top1": 100 * top_k(scores, target),
        "top5": 100 * top_k(scores, target, k=5),
        "class_accuracy": 100 * mean_class_accuracy(scores, target),
        "map": 100 * mean_average_precision(scores, target),
        "auc": 100 * mean_auc(scores, target),
        "d_prime": d_prime(scores, target),
        "classes": 8.0,
    }
    ranking = classification_scores(scores, target, multilabel=True)
    assert ranking == {n: summary[n] for n in ("map", "auc", "d_prime", "classes")}


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("metric", EVERY)
def test_what_is_refused(metric) -> None:
    scores, target = one_hot(0, 4, 3)
    broken = scores.clone()
    broken[1, 2] = torch.nan
    with pytest.raises(ValueError, match="scores must be numbers"):
        metric(broken, target)
    with pytest.raises(ValueError, match="target must be zeros and ones"):
        metric(scores, target * 0.5)
    with pytest.raises(ValueError, match="target must have shape"):
        metric(scores, target[:1])
    with pytest.raises(ValueError, match="scores must have shape"):
        metric(scores[0], target[0])


def test_impossible_k_and_targets() -> None:
    scores, target = one_hot(0, 4, 3)
    for k in (0, 4, -1):
        with pytest.raises(ValueError, match="k must be an integer from 1 to the 3 classes"):
            top_k(scores, target, k=k)
    for wrong in (torch.zeros(4, 3), torch.ones(4, 3)):
        with pytest.raises(ValueError, match="target must be one class a sample"):
            confusion_matrix(scores, wrong)
