"""Group norms over the pixels of a mask, against those of the same pixels alone."""

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from avblocks.nn.norm import GroupNorm


def norms(width: int = 16, groups: int = 4) -> tuple[GroupNorm, nn.GroupNorm]:
    ours, theirs = GroupNorm(groups, width).double(), nn.GroupNorm(groups, width).double()
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert torch.equal(ours.weight, theirs.weight) and torch.equal(ours.bias, theirs.bias)
    for parameter in theirs.parameters():
        nn.init.normal_(parameter)
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def test_without_a_mask_it_is_pytorchs() -> None:
    (ours, theirs), x = norms(), torch.randn(3, 16, 5, 7).double()
    assert torch.equal(ours(x), theirs(x))
    assert_close(ours(x, seen=torch.ones(3, 1, 5, 7, dtype=torch.bool)), theirs(x))


@pytest.mark.parametrize("step", [1, 2, 4])
def test_a_rectangle_is_normalized_as_if_it_were_alone(step: int) -> None:
    """With a mask as large as the map, or larger by a whole factor."""
    (ours, theirs), x = norms(), 7 + torch.randn(2, 16, 6, 8).double()
    seen = torch.zeros(2, 1, 6 * step, 8 * step, dtype=torch.bool)
    seen[0, :, : 4 * step, : 3 * step], seen[1, :, 2 * step :, :] = True, True
    found = ours(x, seen=seen)
    assert_close(found[:1, :, :4, :3], theirs(x[:1, :, :4, :3]))
    assert_close(found[1:, :, 2:], theirs(x[1:, :, 2:]))
    assert not found[0, :, 4:].any() and not found[0, :, :, 3:].any() and not found[1, :, :2].any()


def test_scattered_pixels_by_a_loop() -> None:
    (ours, _), x = norms(), torch.randn(2, 16, 4, 5).double()
    seen = torch.rand(2, 1, 4, 5) > 0.4
    found = ours(x, seen=seen)
    for b in range(2):
        places = seen[b, 0]
        for group in range(4):
            own = slice(4 * group, 4 * group + 4)
            values = x[b, own][:, places]
            unit = (values - values.mean()) / (values.var(correction=0) + 1e-5).sqrt()
            wanted = unit * ours.weight[own, None] + ours.bias[own, None]
            assert_close(found[b, own][:, places], wanted)
            assert not found[b, own][:, ~places].any()


def test_a_map_without_pixels_is_zero_and_has_finite_gradients() -> None:
    (ours, _), x = norms(), torch.randn(2, 16, 4, 4).double().requires_grad_()
    seen = torch.ones(2, 1, 4, 4, dtype=torch.bool)
    seen[1] = False
    found = ours(x, seen=seen)
    found.square().sum().backward()
    assert not found[1].any() and found[0].any()
    assert isinstance(x.grad, Tensor) and x.grad.isfinite().all() and not x.grad[1].any()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_statistics_are_not_of_half_precision(dtype: torch.dtype) -> None:
    """Thousands of values far from zero."""
    ours, x = GroupNorm(2, 8), (20 + torch.randn(1, 8, 64, 64)).to(dtype)
    seen = torch.ones(1, 1, 64, 64, dtype=torch.bool)
    seen[..., 32:] = False
    found = ours.to(dtype)(x, seen=seen)
    wanted = nn.functional.group_norm(x[..., :32].double(), 2)
    assert found.dtype == dtype
    assert_close(found[..., :32].double(), wanted, rtol=0.01, atol=0.02)


@pytest.mark.usefixtures("unchecked")
def test_misfits() -> None:
    with pytest.raises(ValueError, match="width must be a multiple of 8, got 12"):
        GroupNorm(8, 12)
    with pytest.raises(ValueError, match="groups must be a positive integer, got 0"):
        GroupNorm(0, 12)
    with pytest.raises(ValueError, match="norm_eps must be a finite number above zero, got 0"):
        GroupNorm(4, 12, norm_eps=0.0)
