"""Weighted losses, against loops over samples and classes."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from avblocks.heads import balanced_bias, balanced_loss, class_frequency


def draw(b: int, classes: int, *, multilabel: bool) -> tuple[Tensor, Tensor, Tensor]:
    random = torch.Generator().manual_seed(b * 10 + classes)
    logits, soft = torch.randn(2, b, classes, generator=random)
    target = soft.sigmoid() if multilabel else soft.softmax(dim=1)
    frequency = torch.rand(classes, generator=random) + 0.05
    return logits, target, frequency / (2 if multilabel else frequency.sum())


def slow(logits: Tensor, target: Tensor, frequency: Tensor, *, multilabel: bool) -> float:
    there = [c for c in range(len(frequency)) if frequency[c] > 0]
    f = [frequency[c].item() for c in there]
    weights = [1 / x for x in f]
    # The mean weight, over classes or over samples that are spread as the training set's.
    shares = [1 / len(f)] * len(f) if multilabel else [x / sum(f) for x in f]
    mean = sum(w * share for w, share in zip(weights, shares, strict=True))
    total = 0.0
    for row, goal in zip(logits.double().tolist(), target.double().tolist(), strict=True):
        normalizer = math.log(sum(math.exp(row[c]) for c in there))
        for c, weight in zip(there, weights, strict=True):
            p = 1 / (1 + math.exp(-row[c]))
            binary = -goal[c] * math.log(p) - (1 - goal[c]) * math.log(1 - p)
            loss = binary / len(there) if multilabel else -goal[c] * (row[c] - normalizer)
            total += weight / mean * loss
    return total / len(logits)


@given(st.integers(1, 4), st.integers(1, 6), st.booleans())
def test_equals_loops(b: int, classes: int, multilabel: bool) -> None:
    logits, target, frequency = draw(b, classes, multilabel=multilabel)
    loss = balanced_loss(logits, target, frequency=frequency, multilabel=multilabel)
    expected = slow(logits, target, frequency, multilabel=multilabel)
    assert loss.item() == pytest.approx(expected, rel=1e-4, abs=1e-6)


@given(st.integers(1, 4), st.integers(1, 6), st.booleans())
def test_equal_frequencies_give_the_plain_loss(b: int, classes: int, multilabel: bool) -> None:
    logits, target, _ = draw(b, classes, multilabel=multilabel)
    plain = balanced_loss(logits, target, multilabel=multilabel)
    frequency = torch.full((classes,), 1 / classes)
    assert_close(balanced_loss(logits, target, frequency=frequency, multilabel=multilabel), plain)
    torchs = F.binary_cross_entropy_with_logits if multilabel else F.cross_entropy
    assert_close(plain, torchs(logits, target))


def test_over_the_training_set_each_class_weighs_the_same() -> None:
    target = torch.eye(3)[[0, 0, 0, 0, 1, 2, 2, 0]]
    logits = torch.randn(8, 3)
    each = -(target * logits.log_softmax(dim=1)).sum(dim=1)
    means = torch.stack([each[target[:, c] == 1].mean() for c in range(3)])
    loss = balanced_loss(logits, target, frequency=class_frequency(target))
    assert_close(loss, means.mean())


@pytest.mark.parametrize("multilabel", [False, True])
def test_an_absent_class_is_left_out(multilabel: bool) -> None:
    logits, target, frequency = draw(4, 5, multilabel=multilabel)
    frequency[2] = 0.0
    logits.requires_grad_()
    loss = balanced_loss(logits, target, frequency=frequency, multilabel=multilabel)
    loss.backward()
    kept = [0, 1, 3, 4]
    rest = balanced_loss(
        logits[:, kept], target[:, kept], frequency=frequency[kept], multilabel=multilabel
    )
    assert_close(loss, rest)
    assert logits.grad is not None and (logits.grad[:, 2] == 0).all()
    assert logits.grad.isfinite().all() and (logits.grad[:, kept] != 0).all()


@given(st.integers(1, 5), st.integers(1, 5))
def test_frequencies_are_shares_of_the_samples(b: int, classes: int) -> None:
    targets = torch.randint(2, (b, classes)).float()
    for c in range(classes):
        count = sum(row[c] for row in targets.tolist())
        assert class_frequency(targets)[c].item() == pytest.approx(count / b)


def test_the_bias_predicts_the_frequencies() -> None:
    frequency = torch.tensor([0.1, 0.6, 0.3])
    softmax = balanced_bias(frequency, multilabel=False, floor=0.0).softmax(dim=0)
    assert_close(softmax, frequency)
    assert_close(balanced_bias(frequency, multilabel=True, floor=0.0).sigmoid(), frequency)


@pytest.mark.parametrize("multilabel", [False, True])
def test_the_bias_of_absent_and_of_ever_present_classes_is_finite(multilabel: bool) -> None:
    bias = balanced_bias(torch.tensor([0.0, 0.5, 1.0]), multilabel=multilabel)
    assert bias.isfinite().all() and (bias.diff() > 0).all()
    # The reference's floor.
    expected = math.log(0.001 / 1.001) if multilabel else math.log(0.001)
    assert bias[0].item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.usefixtures("unchecked")
def test_what_is_refused() -> None:
    logits = torch.zeros(2, 3)
    with pytest.raises(ValueError, match="target must have shape"):
        balanced_loss(logits, torch.zeros(2, 1))
    with pytest.raises(ValueError, match="target must have shape"):
        balanced_loss(logits, torch.zeros(1, 3))
    with pytest.raises(ValueError, match="frequency must have shape"):
        balanced_loss(logits, logits, frequency=torch.ones(2) / 2)
    with pytest.raises(ValueError, match="at least one sample"):
        class_frequency(torch.zeros(0, 3))
    for wrong in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="frequency must be in"):
            balanced_bias(torch.tensor([0.5, wrong]), multilabel=True)
    with pytest.raises(ValueError, match="floor must be"):
        balanced_bias(torch.tensor([0.5]), multilabel=True, floor=-1.0)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("multilabel", [False, True])
def test_compiles(multilabel: bool) -> None:
    logits, target, frequency = draw(4, 5, multilabel=multilabel)
    compiled = torch.compile(balanced_loss, fullgraph=True, backend="eager")
    out = compiled(logits, target, frequency=frequency, multilabel=multilabel)
    assert_close(out, balanced_loss(logits, target, frequency=frequency, multilabel=multilabel))
