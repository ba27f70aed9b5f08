import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from avblocks import LayerScale


@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 5))
def test_each_channel_has_its_factor(b: int, n: int, d: int) -> None:
    scale, x = LayerScale(d).double(), torch.randn(b, n, d, dtype=torch.float64)
    torch.nn.init.normal_(scale.gamma)
    for channel in range(d):
        wanted = x[:, :, channel] * scale.gamma[channel]
        assert torch.equal(scale(x)[:, :, channel], wanted)


def test_all_factors_start_alike() -> None:
    assert torch.equal(LayerScale(4, start=0.5).gamma, torch.full((4,), 0.5))


@pytest.mark.usefixtures("unchecked")
def test_misfits_are_named() -> None:
    with pytest.raises(ValueError, match="dim must be a positive integer, got 0"):
        LayerScale(0)
    with pytest.raises(ValueError, match="start must be a finite number above zero, got 0"):
        LayerScale(4, start=0.0)
    with pytest.raises(ValueError, match=r"x must have shape \(b, n, d=4\), got \(2, 3, 1\)"):
        LayerScale(4)(torch.zeros(2, 3, 1))


@pytest.mark.usefixtures("unchecked")
def test_it_compiles() -> None:
    scale, x = LayerScale(4), torch.randn(2, 3, 4)
    compiled = torch.compile(scale, fullgraph=True, backend="eager")
    assert torch.equal(compiled(x), scale(x))
