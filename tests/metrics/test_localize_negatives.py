"""Pointing nowhere where nothing sounds, against a loop over thresholds."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from avblocks.metrics import detection_curve, map_confidence

image = st.tuples(
    st.one_of(st.just(float("nan")), st.sampled_from((0.1, 0.49, 0.5, 0.9))),
    st.sampled_from((0.1, 0.2, 0.3, 0.4, 0.5)),
)
batches = st.lists(image, min_size=1, max_size=9).filter(lambda b: any(c == c for c, _ in b))


def slow(images: list[tuple[float, float]], at: float, *, misplaced: str) -> tuple[float, float]:
    right = wrong = missed = 0
    for ciou, sure in images:
        visible, found = ciou == ciou, ciou >= 0.5
        if sure >= at:
            right += found
            wrong += not found
            missed += visible and not found and misplaced == "wrong and missed"
        else:
            missed += visible
    return right / (right + wrong), right / (right + missed) if right + missed else 0.0


@given(batches, st.sampled_from(("wrong", "wrong and missed")))
def test_the_curve_equals_a_loop(images: list[tuple[float, float]], misplaced: str) -> None:
    ciou, sure = (torch.tensor(x) for x in zip(*images, strict=True))
    curve = detection_curve(ciou, sure, misplaced=misplaced)
    steps = sorted({s for _, s in images}, reverse=True)
    wanted = [slow(images, at, misplaced=misplaced) for at in steps]
    assert_close(torch.stack((curve.precision, curve.recall), dim=1), torch.tensor(wanted))
    area, reached = 0.0, 0.0
    for i, (_, recall) in enumerate(wanted):
        area += (recall - reached) * max(p for p, _ in wanted[i:])
        reached = recall
    assert curve.average_precision() == pytest.approx(area, abs=1e-6)
    harmonic = [2 * p * r / (p + r) if p + r else 0.0 for p, r in wanted]
    assert curve.max_f1() == pytest.approx(max(harmonic), abs=1e-6)
    assert 0 <= curve.average_precision() <= 1 + 1e-6
    assert (curve.recall.diff() >= 0).all()


def test_negatives_cost_precision_and_misplaced_sources_recall() -> None:
    nan = torch.nan
    sure = torch.tensor([0.9, 0.8, 0.7, 0.6])
    perfect = detection_curve(torch.tensor([0.9, 0.6, nan, nan]), sure)
    assert perfect.average_precision() == perfect.max_f1() == 1
    fooled = detection_curve(torch.tensor([nan, nan, 0.9, 0.6]), sure)
    assert fooled.average_precision() == pytest.approx(0.5)
    beside = torch.tensor([0.9, 0.1, nan, nan])
    assert detection_curve(beside, sure).recall[-1] == 1
    assert detection_curve(beside, sure, misplaced="wrong and missed").recall[-1] == 0.5
    assert detection_curve(torch.tensor([0.0, nan]), sure[:2]).max_f1() == 0


@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 99))
def test_confidence_is_the_mean_of_the_top_quarter(height: int, width: int, seed: int) -> None:
    maps = torch.randn(3, height, width, generator=torch.Generator().manual_seed(seed))
    for values, ours in zip(maps, map_confidence(maps), strict=True):
        ordered = sorted(values.flatten().tolist())
        top = ordered[-len(ordered) // 4 :]
        assert ours.item() == pytest.approx(sum(top) / len(top), abs=1e-6)


@pytest.mark.usefixtures("unchecked")
def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match="confidence must have shape"):
        detection_curve(torch.zeros(3), torch.zeros(2))
    with pytest.raises(ValueError, match="visible"):
        detection_curve(torch.full((2,), torch.nan), torch.zeros(2))
    with pytest.raises(ValueError, match="misplaced"):
        detection_curve(torch.zeros(2), torch.zeros(2), misplaced="right")
    with pytest.raises(ValueError, match="maps must be finite"):
        map_confidence(torch.tensor([[[0.5, torch.nan]]]))


def test_equal_confidences_pass_together() -> None:
    ciou = torch.tensor([0.9, 0.1, 0.8])
    curve = detection_curve(ciou, torch.tensor([torch.inf, torch.inf, 0.0]))
    assert curve.precision.tolist() == pytest.approx([1 / 2, 2 / 3])


def test_a_confidence_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="confidence must be numbers"):
        detection_curve(torch.tensor([0.9, 0.1]), torch.tensor([0.5, torch.nan]))
