"""Scores of masks, against loops over images, classes and thresholds."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from avblocks.metrics import (
    ClassScores,
    class_scores,
    fscore_avsbench,
    fscore_curves,
    fscore_per_image,
    iou_avsbench,
    mean_over_classes,
    miou_no_background,
    miou_with_background,
    predicted_classes,
)

sizes = st.tuples(st.integers(1, 5), st.integers(1, 6), st.integers(1, 6))
seeds = st.integers(0, 10**6)
NAMES = ("iou", "precision", "recall", "fscore")


def masks(seed: int, size: tuple[int, ...], classes: int) -> tuple[Tensor, Tensor]:
    """Prediction and truth that agree in places; some truths are empty."""
    random = torch.Generator().manual_seed(seed)
    truth = torch.randint(classes, size, generator=random)
    truth[torch.rand(len(truth), generator=random) < 0.3] = 0
    other = torch.randint(classes, size, generator=random)
    return torch.where(torch.rand(size, generator=random) < 0.5, truth, other), truth


def full(seed: int, size: tuple[int, int, int]) -> tuple[Tensor, Tensor]:
    """Probabilities, some exactly at a threshold, and a truth that is never empty."""
    _, truth = masks(seed, size, 2)
    truth[:, 0, 0] = 1
    random = torch.Generator().manual_seed(seed)
    fine = torch.rand(size, generator=random)
    return torch.where(
        torch.rand(size, generator=random) < 0.5, fine, (fine * 4).round() / 4
    ), truth


def ratio(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def f(precision: float, recall: float) -> float:
    if precision == 0 or recall == 0:
        return 0.0
    return 1.3 * precision * recall / (0.3 * precision + recall)


def slow_class(pred: Tensor, truth: Tensor, k: int, *, skip_empty: bool) -> list[float]:
    pairs = list(zip(pred.flatten().tolist(), truth.flatten().tolist(), strict=True))
    both = sum(p == k and t == k for p, t in pairs)
    either = sum(p == k or t == k for p, t in pairs)
    if not either or (skip_empty and not any(t for _, t in pairs)):
        return [math.nan] * 4
    precision = ratio(both, sum(p == k for p, _ in pairs))
    recall = ratio(both, sum(t == k for _, t in pairs))
    return [both / either, precision, recall, f(precision, recall)]


def slow_curve(probability: Tensor, truth: Tensor, thresholds: int) -> list[float]:
    pairs = list(zip(probability.flatten().tolist(), truth.flatten().tolist(), strict=True))
    positives = sum(t > 0 for _, t in pairs)
    curve = []
    for cut in torch.linspace(0, 1, thresholds).tolist():
        both = sum(p >= cut and t > 0 for p, t in pairs)
        precision, recall = ratio(both, sum(p >= cut for p, _ in pairs)), ratio(both, positives)
        curve.append(f(precision, recall) if positives else math.nan)
    return curve


def assert_near(actual: Tensor, expected: object) -> None:
    wanted = torch.as_tensor(expected, dtype=torch.float64)
    assert_close(actual, wanted, rtol=0, atol=1e-12, equal_nan=True)


@given(seeds, sizes, st.integers(2, 4), st.booleans())
def test_classes_equal_a_loop(seed: int, size: tuple, classes: int, skip_empty: bool) -> None:
    pred, truth = masks(seed, size, classes)
    scores = class_scores(pred, truth, num_classes=classes, skip_empty=skip_empty)
    loop = [
        [slow_class(p, t, k, skip_empty=skip_empty) for k in range(classes)]
        for p, t in zip(pred, truth, strict=True)
    ]
    for place, name in enumerate(NAMES):
        assert_near(getattr(scores, name), [[values[place] for values in image] for image in loop])


@given(seeds, sizes)
def test_frames_equal_a_loop(seed: int, size: tuple) -> None:
    pred, truth = masks(seed, size, 3)
    loop = []
    for p, t in zip(pred > 0, truth > 0, strict=True):
        of = 1 if t.any() else 0
        loop.append(slow_class(p.long(), t.long(), of, skip_empty=False)[0])
    assert_near(iou_avsbench(pred, truth), [0.0 if math.isnan(iou) else iou for iou in loop])
    assert torch.equal(iou_avsbench(pred, truth), iou_avsbench(pred > 0, truth.byte()))


@given(seeds, sizes, st.integers(2, 9))
def test_curves_equal_a_loop(seed: int, size: tuple, thresholds: int) -> None:
    probability, _ = full(seed, size)
    _, truth = masks(seed, size, 3)
    loop = [slow_curve(p, t, thresholds) for p, t in zip(probability, truth, strict=True)]
    assert_near(fscore_curves(probability, truth, thresholds=thresholds), loop)
    assert_near(fscore_curves(probability.double(), truth, thresholds=thresholds), loop)


@given(seeds, sizes, st.integers(2, 4))
def test_a_perfect_prediction_scores_one(seed: int, size: tuple, classes: int) -> None:
    _, truth = masks(seed, size, classes)
    truth[:, 0, 0] = 1
    scores = class_scores(truth, truth, num_classes=classes)
    for name in NAMES:
        assert (getattr(scores, name).nan_to_num(1.0) == 1).all()
    assert miou_with_background(scores) == miou_no_background(scores) == 1
    assert_near(iou_avsbench(truth, truth), torch.ones(len(truth)))
    curves = fscore_curves((truth > 0).float(), truth)
    assert fscore_per_image(curves) == fscore_avsbench(curves) == 1


@given(seeds, sizes, st.integers(2, 4))
def test_scores_lie_between_nothing_and_all(seed: int, size: tuple, classes: int) -> None:
    pred, truth = masks(seed, size, classes)
    scores = class_scores(pred, truth, num_classes=classes)
    assert torch.equal(scores.iou.isnan(), scores.fscore.isnan())
    seen = ~scores.iou.isnan()
    iou, precision, recall, fscore = (getattr(scores, name)[seen] for name in NAMES)
    assert ((iou >= 0) & (iou <= torch.minimum(precision, recall) + 1e-12)).all()
    assert (fscore <= torch.maximum(precision, recall) + 1e-12).all()
    assert (fscore >= torch.minimum(precision, recall) - 1e-12).all()


@given(seeds, sizes)
def test_order_of_images_and_pixels(seed: int, size: tuple) -> None:
    pred, truth = masks(seed, size, 3)
    probability, _ = full(seed, size)
    random = torch.Generator().manual_seed(seed)
    images, columns = (torch.randperm(size[i], generator=random) for i in (0, 2))
    scores = class_scores(pred, truth, num_classes=3)
    moved = class_scores(pred[images][..., columns], truth[images][..., columns], num_classes=3)
    curves = fscore_curves(probability, truth)
    turned = fscore_curves(probability[images][..., columns], truth[images][..., columns])
    assert_near(moved.fscore, scores.fscore[images])
    assert_near(turned, curves[images])
    assert_near(miou_no_background(moved), miou_no_background(scores))
    assert_near(fscore_per_image(turned), fscore_per_image(curves))
    assert_near(fscore_avsbench(turned, batch=5), fscore_avsbench(curves, batch=5))


@given(seeds, st.integers(1, 3))
def test_parts_of_a_test_set_join(seed: int, cut: int) -> None:
    pred, truth = masks(seed, (4, 3, 3), 3)
    parts = [
        class_scores(p, t, num_classes=3)
        for p, t in zip(pred.split(cut), truth.split(cut), strict=True)
    ]
    whole = class_scores(pred, truth, num_classes=3)
    for name in NAMES:
        assert_near(getattr(ClassScores.join(parts), name), getattr(whole, name))


@given(seeds, sizes)
def test_classes_keep_their_scores_under_other_numbers(seed: int, size: tuple) -> None:
    pred, truth = masks(seed, size, 4)
    order = torch.tensor([0, 3, 1, 2])
    renamed = class_scores(order[pred], order[truth], num_classes=4)
    assert_near(renamed.iou[:, order], class_scores(pred, truth, num_classes=4).iou)


def test_a_class_counts_as_much_in_few_images_as_in_many() -> None:
    truth = torch.tensor([[[0, 1]], [[0, 1]], [[0, 2]], [[0, 0]]])
    pred = torch.tensor([[[0, 1]], [[0, 0]], [[0, 2]], [[1, 1]]])
    scores = class_scores(pred, truth, num_classes=4)
    # Class 1: 1 and 0; class 2: 1; class 3 nowhere; background 1, 1/2 and 1.
    assert_near(miou_no_background(scores), 0.75)
    assert_near(miou_with_background(scores), (0.75 * 2 + 2.5 / 3) / 3)
    counted = class_scores(pred, truth, num_classes=4, skip_empty=False)
    # The last image's truth is empty: now class 1 is wrong there, and the background not found.
    assert_near(miou_no_background(counted), (1 / 3 + 1) / 2)
    assert_near(mean_over_classes(counted.recall, background=True), (3 / 4 + 1 / 3 + 1) / 3)


@given(seeds)
def test_bigger_batches_never_score_higher(seed: int) -> None:
    curves = fscore_curves(*full(seed, (8, 4, 4)))
    by_batch = [fscore_avsbench(curves, batch=batch).item() for batch in (1, 2, 4, 8)]
    assert all(more <= fewer + 1e-12 for fewer, more in pairwise(by_batch))
    assert_near(fscore_per_image(curves), by_batch[0])


def test_the_batch_decides() -> None:
    # Two images with their best thresholds apart, two with the same.
    curves = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]).double()
    assert fscore_avsbench(curves, batch=2) == 0.5
    assert fscore_avsbench(curves[[0, 2, 1, 3]], batch=2) == fscore_per_image(curves) == 1.0
    assert_near(fscore_avsbench(curves[:3], batch=2), (0.5 + 1.0) / 2)
    assert_near(fscore_avsbench(curves.repeat(2, 1)[:7]), (0.6 + 0.5) / 2)


def test_frames_without_truth() -> None:
    none = torch.zeros(2, 2, 2, dtype=torch.long)
    one = torch.tensor([[0, 0], [0, 1]]).expand(2, 2, 2)
    assert_near(iou_avsbench(one, none), [0.75, 0.75])
    assert_near(iou_avsbench(1 - none, none), [0.0, 0.0])
    curves = fscore_curves(torch.ones(4, 2, 2), torch.cat((one, none)))
    assert curves.isnan().any(dim=1).tolist() == [False, False, True, True]
    best = 1.3 * 0.25 / (0.3 * 0.25 + 1)
    assert_near(fscore_per_image(curves), best)
    assert_near(fscore_avsbench(curves, batch=3), best / 2)
    assert fscore_avsbench(curves[2:]) == 0.0 and fscore_per_image(curves[2:]).isnan()
    scores = class_scores(one, none, num_classes=2)
    assert scores.iou.isnan().all() and miou_no_background(scores).isnan()


def test_the_last_threshold_is_one() -> None:
    truth = torch.ones(1, 1, 1, dtype=torch.bool)
    curve = fscore_curves(torch.tensor([[[254 / 255]]]), truth)
    assert curve.shape == (1, 255) and curve.sum() == 254 and curve[0, -1] == 0
    assert fscore_curves(torch.ones(1, 1, 1), truth).sum() == 255


def test_predicted_classes() -> None:
    logits = torch.tensor([[[[0.0]], [[3.0]], [[1.0]]], [[[0.0]], [[-1.0]], [[-2.0]]]])
    assert predicted_classes(logits).flatten().tolist() == [1, 0]
    assert predicted_classes(logits[:, 1:2]).flatten().tolist() == [1, 0]
    assert predicted_classes(logits[:, :1]).flatten().tolist() == [0, 0]


def test_no_image_gives_no_score() -> None:
    none = torch.zeros(0, 2, 2, dtype=torch.long)
    assert class_scores(none, none, num_classes=3).iou.shape == (0, 3)
    assert iou_avsbench(none, none).shape == (0,)
    assert fscore_curves(torch.zeros(0, 2, 2), none, thresholds=4).shape == (0, 4)


@pytest.mark.usefixtures("unchecked")
def test_bad_input_is_refused() -> None:
    truth = torch.zeros(2, 3, 3, dtype=torch.long)
    for metric in (iou_avsbench, fscore_curves):
        with pytest.raises(ValueError, match="pred must have shape"):
            metric(torch.zeros(1, 3, 3), truth)
    with pytest.raises(ValueError, match="pred must have shape"):
        class_scores(truth[:1], truth, num_classes=2)
    with pytest.raises(ValueError, match=r"pred must be class numbers in \[0, 2\), got \[5\]"):
        class_scores(
            truth.index_fill(0, torch.tensor(0), 5)[:, :1, :1], truth[:, :1, :1], num_classes=2
        )
    with pytest.raises(ValueError, match="target must be class numbers"):
        class_scores(truth, truth - 1, num_classes=2)
    for bad in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match="probability must be in"):
            fscore_curves(torch.full((2, 3, 3), bad), truth)
    for make in (
        lambda: class_scores(truth, truth, num_classes=0),
        lambda: fscore_curves(truth.float(), truth, thresholds=0),
        lambda: fscore_avsbench(torch.zeros(2, 3).double(), batch=0),
        lambda: fscore_avsbench(torch.zeros(0, 3).double()),
    ):
        with pytest.raises(ValueError, match="must be"):
            make()


@pytest.mark.parametrize("classes", [1, 3])
def test_logits_that_are_no_numbers_have_no_class(classes: int) -> None:
    logits = torch.zeros(1, classes, 2, 2)
    logits[0, 0, 0, 0] = torch.nan
    with pytest.raises(ValueError, match="logits must be numbers"):
        predicted_classes(logits)


@pytest.mark.usefixtures("unchecked")
def test_probabilities_are_no_masks() -> None:
    share, mask = torch.rand(1, 4, 4), torch.ones(1, 4, 4, dtype=torch.bool)
    for pred, target in ((share, mask), (mask, share)):
        with pytest.raises(ValueError, match="a binary mask, such as x > threshold"):
            iou_avsbench(pred, target)
        with pytest.raises(ValueError, match="a binary mask, such as x > threshold"):
            class_scores(pred, target, num_classes=2)
