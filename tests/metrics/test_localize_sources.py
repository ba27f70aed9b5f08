"""Several sources: average precision by scikit-learn's rule as a loop, orders by brute force."""

from itertools import permutations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from avblocks.metrics import (
    class_aware,
    permutation_invariant,
    source_precision,
    success_by_size,
)

SEEDS = st.integers(0, 2**20)


def slow(values: list[float], mask: list[float]) -> float:
    """Sum over the values, from the highest, of precision times the step of recall."""
    found, area = 0.0, 0.0
    for at in sorted(set(values), reverse=True):
        hits = sum(m for v, m in zip(values, mask, strict=True) if v >= at)
        area += (hits - found) / sum(mask) * hits / sum(v >= at for v in values)
        found = hits
    return area


@given(SEEDS, st.integers(1, 2), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3))
def test_precision_equals_a_loop(seed: int, b: int, maps: int, sources: int, side: int) -> None:
    random = torch.Generator().manual_seed(seed)
    values = torch.randint(4, (b, maps, side, side), generator=random).double()
    masks = torch.randint(2, (b, sources, side, side), generator=random).double()
    found = source_precision(values, masks)
    for i, j, k in torch.cartesian_prod(torch.arange(b), torch.arange(maps), torch.arange(sources)):
        mask = masks[i, k].flatten().tolist()
        if sum(mask) == 0:
            assert found[i, j, k].isnan()
            continue
        wanted = slow(values[i, j].flatten().tolist(), mask)
        assert found[i, j, k].item() == pytest.approx(wanted)


@given(SEEDS, st.integers(1, 4))
def test_the_best_order(seed: int, k: int) -> None:
    values = torch.rand(2, k, k, generator=torch.Generator().manual_seed(seed)).double()
    for row, best, own in zip(
        values, permutation_invariant(values), class_aware(values), strict=True
    ):
        means = [sum(row[m, s] for s, m in enumerate(p)) / k for p in permutations(range(k))]
        assert float(best) == pytest.approx(float(max(means)))
        assert float(own) == pytest.approx(float(means[0])) and own <= best + 1e-9


def test_sources_that_an_image_lacks_do_not_count() -> None:
    nan = torch.nan
    values = torch.tensor([[[0.2, nan], [0.8, nan]], [[nan, nan], [nan, nan]]])
    assert class_aware(values)[0].item() == pytest.approx(0.2)
    assert permutation_invariant(values)[0].item() == pytest.approx(0.8)
    assert class_aware(values)[1].isnan() and permutation_invariant(values)[1].isnan()


@pytest.mark.parametrize(("side", "factor"), [(224, 1), (448, 2)])
def test_sizes_have_the_published_bounds(side: int, factor: int) -> None:
    """`EvaluatorFull`: least size included, greatest excluded, in pixels of 224 x 224."""
    sides, names = (
        (31, 32, 95, 96, 143, 144),
        ("small", "medium", "medium", "large", "large", "huge"),
    )
    for edge, name in zip(sides, names, strict=True):
        truth = torch.zeros(1, side, side)
        truth[0, : edge * factor, : edge * factor] = 1
        found = success_by_size(torch.tensor([0.5]), truth)
        assert found[name] == 1 and sum(v == v for v in found.values()) == 1
    halves = torch.full((1, side, side), 0.5)  # of one of two annotators: half the pixels
    assert success_by_size(torch.tensor([0.3]), halves, threshold=0.3)["huge"] == 1


def test_images_without_a_source_have_no_size() -> None:
    found = success_by_size(torch.tensor([torch.nan]), torch.zeros(1, 8, 8))
    assert all(value != value for value in found.values())


@pytest.mark.usefixtures("unchecked")
def test_misfits_are_named() -> None:
    with pytest.raises(ValueError, match="masks must be zeros and ones, got 'other values'"):
        source_precision(torch.zeros(1, 1, 2, 2), torch.full((1, 1, 2, 2), 0.5))
    with pytest.raises(ValueError, match="values must be of as many maps as sources"):
        class_aware(torch.zeros(1, 2, 3))
    with pytest.raises(ValueError, match="values must be of at most 8 sources, got 9"):
        permutation_invariant(torch.zeros(1, 9, 9))
