import pytest
import slow
import torch
from hypothesis import given
from hypothesis import strategies as st
from slow import assert_same, randomize
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.testing import assert_close
from torch.utils.flop_counter import FlopCounterMode

from avblocks import Block


def tokens(b: int, n: int, d: int) -> Tensor:
    return torch.randn(b, n, d, dtype=torch.float64, requires_grad=True)


@given(st.integers(1, 5), st.integers(1, 4), st.booleans())
def test_context_is_the_tail_of_a_block_over_both(n: int, n_c: int, bias: bool) -> None:
    block = randomize(Block(8, num_heads=2, mlp_ratio=2.0, qkv_bias=bias))
    x, context = tokens(2, n, 8), tokens(2, n_c, 8)
    both = slow.block(block, torch.cat((context, x), dim=1))[:, n_c:]
    assert_same(block(x, context=context), both, [x, context, *block.parameters()])
    assert_same(block(x), slow.block(block, x), [x, *block.parameters()])


def test_context_needs_keys_and_values_only() -> None:
    b, n, n_c, d = 2, 5, 3, 8
    block, x, context = Block(d, num_heads=2), torch.randn(b, n, d), torch.randn(b, n_c, d)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as flops:
        block(x, context=context)
    own = b * n * (3 + 1 + 8) * d * d
    keys_and_values = b * n_c * 2 * d * d
    attention = b * n * (n + n_c) * 2 * d
    assert flops.get_total_flops() == 2 * (own + keys_and_values + attention)


def test_order_of_batch_and_tokens() -> None:
    block, x, context = randomize(Block(8, num_heads=2)), tokens(3, 5, 8), tokens(3, 2, 8)
    batch, order = torch.randperm(3), torch.randperm(5)
    out = block(x, context=context)
    assert_close(block(x[batch], context=context[batch]), out[batch])
    assert_close(block(x[:, order], context=context), out[:, order])


def test_drop_path_leaves_samples_unchanged_in_training() -> None:
    block, x = Block(8, num_heads=2, drop_path=0.5), torch.randn(64, 3, 8)
    same = (block(x) == x).flatten(1).all(dim=1)
    assert 4 < same.sum() < 32
    assert not (block.eval()(x) == x).flatten(1).all(dim=1).any()


def test_norms_take_the_epsilon() -> None:
    assert {Block(8, num_heads=2).norm1.eps, Block(8, num_heads=2).norm2.eps} == {1e-6}
    assert Block(8, num_heads=2, norm_eps=1e-5).norm2.eps == 1e-5


@pytest.mark.usefixtures("unchecked")
def test_a_context_of_one_sample_does_not_broadcast() -> None:
    with pytest.raises((ValueError, RuntimeError)):
        Block(8, num_heads=2)(torch.zeros(2, 5, 8), context=torch.zeros(1, 3, 8))
