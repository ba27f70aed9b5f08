import pytest
import slow
import torch
from hypothesis import given
from hypothesis import strategies as st
from slow import assert_same, randomize

from avblocks import Mlp


@given(st.integers(1, 6), st.sampled_from((0.5, 1.0, 4.0)))
def test_mlp_is_the_formula(n: int, ratio: float) -> None:
    mlp = randomize(Mlp(6, ratio=ratio))
    x = torch.randn(2, n, 6, dtype=torch.float64, requires_grad=True)
    assert mlp.fc1.out_features == int(6 * ratio)
    assert_same(mlp(x), slow.mlp(mlp, x), [x, *mlp.parameters()])


def test_initial_weights() -> None:
    mlp = Mlp(64)
    assert not mlp.fc1.bias.any() and not mlp.fc2.bias.any()
    bound = (6 / (64 + 256)) ** 0.5
    assert 0.98 * bound < mlp.fc1.weight.abs().max() <= bound


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("ratio", [0.1, 0.0, -1.0, float("nan"), float("inf")])
def test_no_hidden_layer(ratio: float) -> None:
    with pytest.raises(ValueError, match="ratio must be at least 1 / 6, got"):
        Mlp(6, ratio=ratio)
