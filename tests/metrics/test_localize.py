"""cIoU and what is counted from it, against plain loops over pixels."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from avblocks.metrics import (
    center_box,
    ciou_adaptive,
    ciou_auc,
    ciou_fixed,
    ciou_median,
    ciou_success,
    consensus,
    consensus_maps,
    least_ciou,
    masks_adaptive,
    whole_image,
)

sizes = st.tuples(st.integers(2, 7), st.integers(2, 7))
seeds = st.integers(0, 10_000)


def slow_ciou(values: Tensor, truth: Tensor, *, kept: int) -> float:
    """Cut at the lowest of the highest, then count pixel by pixel."""
    lowest = sorted(values.flatten().tolist(), reverse=True)[kept - 1]
    inside = outside = total = 0.0
    for value, share in zip(values.flatten().tolist(), truth.flatten().tolist(), strict=True):
        chosen = value >= lowest
        inside += share * chosen
        outside += chosen * (share == 0)
        total += share
    return inside / (total + outside)


def sample(size: tuple[int, int], seed: int, *, b: int = 3) -> tuple[Tensor, Tensor]:
    """Maps with ties, and consensus maps of 0, 1/2 and 1 with a source in each."""
    random = torch.Generator().manual_seed(seed)
    maps = torch.randint(12, (b, *size), generator=random).float()
    truth = torch.randint(-3, 3, (b, *size), generator=random).clamp(min=0) / 2
    truth[:, 0, 0] = 1
    return maps, truth


@given(sizes, seeds)
def test_equal_loops(size: tuple[int, int], seed: int) -> None:
    maps, truth = sample(size, seed)
    pixels = size[0] * size[1]
    half = [slow_ciou(m, g, kept=pixels - pixels // 2) for m, g in zip(maps, truth, strict=True)]
    assert_close(ciou_median(maps, truth), torch.tensor(half, dtype=torch.float64))
    same = [slow_ciou(m, g, kept=int((g > 0).sum())) for m, g in zip(maps, truth, strict=True)]
    assert_close(ciou_adaptive(maps, truth), torch.tensor(same, dtype=torch.float64))


@given(sizes, seeds)
def test_the_median_is_the_fields(size: tuple[int, int], seed: int) -> None:
    """As in the field's code: at least the value in the middle of the sorted ones."""
    maps, truth = sample(size, seed)
    for values, share, ours in zip(maps, truth, ciou_median(maps, truth), strict=True):
        cut = np.sort(values.numpy().flatten())[int(values.numel() / 2)]
        chosen, g = values.numpy() >= cut, share.numpy()
        assert ours.item() == pytest.approx((chosen * g).sum() / (g.sum() + chosen[g == 0].sum()))


@given(sizes, seeds, st.floats(0.1, 9), st.floats(-5, 5))
def test_bounds_and_scale(size: tuple[int, int], seed: int, factor: float, shift: float) -> None:
    maps, truth = sample(size, seed)
    low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    normalised = (maps - low) / (high - low).clamp(min=1)
    for rule in (ciou_median, ciou_adaptive):
        scores = rule(maps, truth)
        assert ((scores >= 0) & (scores <= 1)).all()
        assert_close(rule(normalised, truth), scores)
        assert_close(rule(factor * maps + shift, truth), scores)
        assert_close(rule(maps.flip(0, 2), truth.flip(0, 2)), scores.flip(0))


@given(sizes, seeds)
def test_a_perfect_map_is_perfect_under_the_adaptive_cut(size: tuple[int, int], seed: int) -> None:
    _, truth = sample(size, seed)
    union = (truth > 0).float()
    assert_close(ciou_adaptive(union, union), torch.ones(3, dtype=torch.float64))
    # No map scores more than the truth itself, nor where annotators disagree.
    maps, _ = sample(size, seed + 1)
    assert (ciou_adaptive(maps, truth) <= ciou_adaptive(truth, truth) + 1e-12).all()


def best_under_the_median(pixels: int) -> float:
    """The score of the truth itself, of a source of so many of 64 pixels."""
    truth = torch.zeros(1, 64)
    truth[:, :pixels] = 1
    falling = torch.linspace(1, 0, 64).view(1, 8, 8)  # No ties: half of the frame is kept.
    return ciou_median(falling, truth.view(1, 8, 8)).item()


@pytest.mark.parametrize("pixels", range(1, 33))
def test_the_median_cut_cannot_score_a_source_under_a_quarter(pixels: int) -> None:
    assert best_under_the_median(pixels) == pytest.approx(pixels / 32)
    assert (best_under_the_median(pixels) >= 0.5) == (pixels >= 16)


@given(seeds, st.integers(1, 15))
def test_nor_can_any_other_map(seed: int, pixels: int) -> None:
    random = torch.Generator().manual_seed(seed)
    truth = torch.zeros(5, 64)
    truth[:, torch.randperm(64, generator=random)[:pixels]] = torch.tensor(1.0)
    truth = truth * torch.randint(1, 3, truth.shape, generator=random) / 2
    maps = torch.randn(5, 64, generator=random) + 3 * torch.linspace(0, 1, 5)[:, None] * truth
    assert (ciou_median(maps.view(5, 8, 8), truth.view(5, 8, 8)) < 0.5).all()


def test_where_nothing_sounds_there_is_no_score() -> None:
    maps, truth = sample((4, 5), 0)
    truth[1] = 0
    for rule in (ciou_median, ciou_adaptive):
        assert rule(maps, truth).isnan().tolist() == [False, True, False]
        kept = rule(maps, truth)[[0, 2]]
        assert ciou_success(rule(maps, truth), threshold=0.3) == ciou_success(kept, threshold=0.3)
        assert ciou_auc(rule(maps, truth)) == ciou_auc(kept)


def test_success_and_area() -> None:
    scores = torch.tensor([0.5, 0.49, 1.0, 0.0], dtype=torch.float64)
    assert ciou_success(scores) == 0.5
    assert ciou_success(scores, threshold=0.0) == 1
    curve = [np.mean(scores.numpy() >= 0.05 * step) for step in range(21)]
    area = sum((left + right) / 2 * 0.05 for left, right in itertools.pairwise(curve))
    assert ciou_auc(scores) == pytest.approx(area)
    assert ciou_auc(torch.ones(3)) == pytest.approx(1.0)
    assert ciou_auc(torch.zeros(3)) == pytest.approx(0.025)


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 1)), min_size=1, max_size=8))
def test_iiou_takes_the_least(entries: list[tuple[int, float]]) -> None:
    ciou = torch.tensor([score for _, score in entries], dtype=torch.float64)
    image = torch.tensor([number for number, _ in entries])
    numbers = sorted({number for number, _ in entries})
    wanted = [min(score for number, score in entries if number == n) for n in numbers]
    assert least_ciou(ciou, image).tolist() == wanted
    assert ciou_success(least_ciou(ciou, image)) <= ciou_success(ciou) + 1e-12 or len(numbers) > 1


def slow_consensus(boxes: list[list[int]], size: tuple[int, int], rule: str) -> Tensor:
    out = torch.zeros(size)
    for y in range(size[0]):
        for x in range(size[1]):
            hits = sum(
                left <= x < right and top <= y < bottom for left, top, right, bottom in boxes
            )
            out[y, x] = min(1.0, hits / 2) if rule == "flickr" else min(1.0, float(hits))
    return out


@given(
    st.lists(st.tuples(*[st.integers(0, 11)] * 4), max_size=4),
    st.sampled_from(("flickr", "vggss")),
)
def test_consensus_counts_annotators(corners: list[tuple[int, int, int, int]], rule: str) -> None:
    height, width = 11, 13
    boxes = [[min(a, c), min(b, d), max(a, c), max(b, d)] for a, b, c, d in corners]
    shares = torch.tensor(boxes).reshape(-1, 4) / torch.tensor([width, height, width, height])
    ours = consensus(shares, size=(height, width), rule=rule)
    assert torch.equal(ours, slow_consensus(boxes, (height, width), rule))


def test_consensus_cuts_edges_to_whole_pixels() -> None:
    drawn = consensus(torch.tensor([[0.19, 0.1, 0.59, 1.0]]), size=10, rule="vggss")
    assert torch.equal(drawn[1:, 1:5], torch.ones(9, 4)) and drawn.sum() == 36
    thirds = consensus(torch.tensor([[1 / 3, 0.0, 2 / 3, 1.0]]), size=(1, 3), rule="vggss")
    assert thirds.tolist() == [[0, 1, 0]]


def test_the_cheats() -> None:
    center, whole = center_box(size=(8, 8)), whole_image(size=8)
    truth = torch.zeros(1, 8, 8)
    truth[:, 2:6, 2:6] = 1
    assert ciou_adaptive(center[None], truth).item() == 1
    assert ciou_median(center[None], truth).item() == pytest.approx(16 / 36)
    for rule in (ciou_median, ciou_adaptive):
        assert rule(whole[None], truth).item() == pytest.approx(16 / 64)
    for size in (5, 8, (6, 9)):
        middle = center_box(size=size)
        assert_close(middle, middle.flip(0, 1))
        rows, columns = (middle >= middle.median()).nonzero(as_tuple=True)
        kept = middle[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        assert (kept >= middle.median()).all(), "a cut is a box"


@pytest.mark.usefixtures("unchecked")
def test_bad_input_is_refused() -> None:
    for rule in (ciou_median, ciou_adaptive):
        with pytest.raises(ValueError, match="consensus must have shape"):
            rule(torch.zeros(2, 4, 4), torch.zeros(2, 4, 5))
        with pytest.raises(ValueError, match="consensus must have shape"):
            rule(torch.zeros(2, 4, 4), torch.zeros(1, 4, 4))
    with pytest.raises(ValueError, match="visible"):
        ciou_success(torch.full((3,), torch.nan))
    with pytest.raises(ValueError, match="image must have shape"):
        least_ciou(torch.zeros(3), torch.zeros(2, dtype=torch.int64))
    with pytest.raises(ValueError, match="rule"):
        consensus(torch.zeros(1, 4), size=4, rule="median")
    with pytest.raises(ValueError, match="size"):
        consensus(torch.zeros(1, 4), size=0, rule="vggss")


def test_an_empty_batch_has_no_scores() -> None:
    none = torch.zeros(0, 4, 4)
    assert ciou_median(none, none).shape == ciou_adaptive(none, none).shape == (0,)


@pytest.mark.parametrize("rule", [ciou_median, ciou_adaptive])
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_maps_must_be_finite(rule: Callable[[Tensor, Tensor], Tensor], value: float) -> None:
    maps, truth = torch.rand(2, 4, 4), torch.ones(2, 4, 4)
    maps[1, 2, 3] = value
    with pytest.raises(ValueError, match="maps must be finite"):
        rule(maps, truth)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_truth_that_is_no_number_is_refused(value: float) -> None:
    """It would count as an image without a source, or as no box."""
    truth = torch.ones(2, 4, 4)
    truth[1, 2, 3] = value
    for score in (ciou_median, ciou_adaptive):
        with pytest.raises(ValueError, match="consensus must be finite"):
            score(torch.rand(2, 4, 4), truth)
    with pytest.raises(ValueError, match="boxes must be finite"):
        consensus(torch.tensor([[0.0, 0.0, value, 1.0]]), size=4, rule="flickr")


@pytest.mark.parametrize("box", [[3.0, 3.0, 90.0, 90.0], [0.9, 0.1, 0.1, 0.9], [0, 0.5, 1, 0.1]])
def test_boxes_of_another_kind_are_refused(box: list[float]) -> None:
    """They would enclose nothing: an image without a source."""
    with pytest.raises(ValueError, match=r"boxes must be left, top, right .*, got \[\["):
        consensus(torch.tensor([box]), size=4, rule="vggss")
    with pytest.raises(ValueError, match="boxes must be of at least one image"):
        consensus_maps((), size=4, rule="vggss")


def test_masks_have_as_many_pixels_as_the_truth() -> None:
    """`Evaluator_miou`: `np.sort(pred)[N - n]`; from that value on instead of above it."""
    random = torch.Generator().manual_seed(0)
    maps = torch.rand(3, 4, 5, generator=random)
    truth = torch.rand(3, 4, 5, generator=random) < torch.tensor([0.2, 0.7, 0.0])[:, None, None]
    chosen = masks_adaptive(maps, truth)
    for values, mask, found in zip(maps, truth, chosen, strict=True):
        count = int(mask.sum())
        lowest = values.flatten().sort().values[20 - count] if count else torch.inf
        assert torch.equal(found, values >= lowest) and found.sum() == count
    tied = masks_adaptive(torch.ones(1, 2, 2), torch.eye(2)[None] == 1)
    assert tied.all()  # ties with the last are selected


def test_masks_of_bytes_are_no_consensus() -> None:
    truth = torch.zeros(1, 8, 8)
    truth[0, :2, :2] = 255
    with pytest.raises(ValueError, match=r"in \[0, 1\]: divide a mask of bytes by 255"):
        ciou_fixed(torch.ones(1, 8, 8), truth, threshold=0.5)
