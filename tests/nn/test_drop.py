import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from avblocks import DropPath


@given(st.floats(0, 0.99))
def test_nothing_is_dropped_in_evaluation(rate: float) -> None:
    x = torch.randn(3, 2, 4)
    assert torch.equal(DropPath(rate).eval()(x), x)
    assert torch.equal(DropPath(0.0)(x), x)


@given(st.floats(0.1, 0.9), st.sampled_from((torch.float32, torch.float64)))
def test_whole_samples_are_dropped_and_the_others_scaled(rate: float, dtype: torch.dtype) -> None:
    x = torch.rand(50, 2, 3, dtype=dtype) + 1
    out = DropPath(rate)(x)
    dropped = (out == 0).flatten(1)
    assert torch.equal(dropped.all(dim=1), dropped.any(dim=1))
    kept = ~dropped[:, 0]
    assert_close(out[kept], x[kept] / (1 - rate))


def test_the_mean_stays() -> None:
    out = DropPath(0.3)(torch.ones(20000, 1, 1))
    assert abs(out.mean() - 1) < 5 * (0.3 / 0.7 / 20000) ** 0.5


@pytest.mark.parametrize("shape", [(4,), (4, 3), (4, 4, 2, 2)])
def test_whole_samples_of_any_shape(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    found = DropPath(0.5).train()(torch.ones(shape))
    assert found.shape == shape
    assert all(len(row.unique()) == 1 for row in found) and len(found.unique()) == 2
