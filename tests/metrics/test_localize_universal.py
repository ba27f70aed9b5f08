"""One threshold for all maps: numpy's and the published code's rules, written as loops."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from avblocks.metrics import (
    active_area,
    area_auc,
    ciou_fixed,
    localization_f,
    refused_share,
    universal_threshold,
)

numbers = st.lists(st.integers(0, 20).map(lambda n: n / 20), min_size=1, max_size=9)


@given(numbers, st.sampled_from((0.0, 0.1, 0.5, 0.75, 1.0)))
def test_the_threshold_is_numpys_quantile(highest: list[float], quantile: float) -> None:
    found = universal_threshold(torch.tensor(highest, dtype=torch.float64), quantile=quantile)
    assert found.item() == pytest.approx(np.quantile(np.array(highest), quantile), abs=1e-7)


@given(numbers, st.integers(1, 3))
def test_the_area_equals_the_published_rules(values: list[float], rows: int) -> None:
    """`compute_pIA` and `compute_AUC_pIA` of vssl_eval, on maps of ``rows`` equal rows."""
    maps = torch.tensor(values, dtype=torch.float64).expand(1, rows, -1).clone()
    (area,) = active_area(maps, threshold=0.5)
    chosen = maps[0].numpy() > 0.5
    assert area == pytest.approx(chosen.sum() / chosen.size)
    shares = [np.mean(np.array(values) <= i / 20) for i in range(21)]
    curve = sum((a + b) / 2 * 0.05 for a, b in pairwise(shares))
    assert area_auc(torch.tensor(values, dtype=torch.float64)) == pytest.approx(curve)
    assert refused_share(torch.tensor(values)) == sum(v == 0 for v in values) / len(values)


@given(numbers, st.integers(0, 2**20))
def test_ciou_at_one_threshold_equals_the_published_rule(values: list[float], seed: int) -> None:
    """`cal_CIOU` of vssl_eval: a pixel must exceed the threshold."""
    maps = torch.tensor(values, dtype=torch.float64).reshape(1, 1, -1)
    random = torch.Generator().manual_seed(seed)
    truth = torch.randint(3, maps.shape, generator=random).double() / 2
    (found,) = ciou_fixed(maps, truth, threshold=0.5)
    infer, gt = (maps > 0.5).double().numpy(), truth.numpy()
    total = gt.sum() + (infer * (gt == 0)).sum()
    if gt.sum() == 0:
        assert found.isnan()
    else:
        assert found.item() == pytest.approx((infer * gt).sum() / total)


def test_the_published_harmonic_mean() -> None:
    """`compute_f` of vssl_eval, in percent: 2 a b / (a + b) of cIoU and 100 - pIA."""
    assert 100 * localization_f(0.3, 0.2) == pytest.approx(2 * 30 * 80 / 110)
    assert localization_f(0.0, 1.0) == 0


def test_silence_that_sets_the_threshold_exceeds_it_in_a_quarter() -> None:
    maps = torch.rand(100, 4, 4, generator=torch.Generator().manual_seed(0))
    at = universal_threshold(maps.amax(dim=(1, 2))).item()
    assert refused_share(active_area(maps, threshold=at)) == 0.75


@pytest.mark.usefixtures("unchecked")
def test_misfits_are_named() -> None:
    with pytest.raises(ValueError, match="highest must be of at least one clip, got 0"):
        universal_threshold(torch.zeros(0))
    with pytest.raises(ValueError, match=r"quantile must be in \[0, 1\], got 75"):
        universal_threshold(torch.zeros(2), quantile=75)
    with pytest.raises(ValueError, match="maps must be finite"):
        active_area(torch.full((1, 2, 2), torch.nan), threshold=0.5)
    maps = torch.ones(1, 2, 2)
    with pytest.raises(ValueError, match="threshold must be a number, got nan"):
        active_area(maps, threshold=torch.nan)
    with pytest.raises(ValueError, match="threshold must be a number, got nan"):
        ciou_fixed(maps, maps, threshold=torch.nan)
    with pytest.raises(ValueError, match=r"area must be in \[0, 1\], got 20"):
        localization_f(0.5, 20.0)
