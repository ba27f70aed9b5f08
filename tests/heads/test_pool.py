"""Pooling, against attention written head by head."""

import pytest
import slow
import torch
from hypothesis import given
from hypothesis import strategies as st
from slow import assert_same, randomize
from torch import Tensor
from torch.testing import assert_close

from avblocks.heads import AttentivePool, MeanPool


def tokens(b: int, n: int, d: int) -> Tensor:
    return torch.randn(b, n, d, dtype=torch.float64, requires_grad=True)


@given(st.integers(1, 4), st.integers(1, 5), st.integers(1, 5))
def test_mean_is_the_mean(b: int, n: int, d: int) -> None:
    x = tokens(b, n, d)
    assert_close(MeanPool()(x), sum(x[:, i] for i in range(n)) / n)


def formula(pool: AttentivePool, x: Tensor) -> Tensor:
    query = torch.stack([pool.query[0] for _ in x])
    y = query + slow.cross_attention(pool.attn, query, slow.layer_norm(pool.norm1, x))
    return (y + slow.mlp(pool.mlp, slow.layer_norm(pool.norm2, y)))[:, 0]


@given(st.integers(1, 3), st.integers(1, 5), st.integers(1, 2))
def test_attentive_is_the_formula(b: int, n: int, heads: int) -> None:
    pool = randomize(AttentivePool(4 * heads, num_heads=heads, mlp_ratio=2.0))
    x = tokens(b, n, 4 * heads)
    assert_same(pool(x), formula(pool, x), [x, *pool.parameters()])


@given(st.integers(1, 4), st.integers(1, 5))
def test_the_order_of_tokens_does_not_matter_and_that_of_samples_is_kept(b: int, n: int) -> None:
    x, samples, order = tokens(b, n, 8), torch.randperm(b), torch.randperm(n)
    for pool in (MeanPool(), randomize(AttentivePool(8, num_heads=2))):
        assert pool(x).shape == (b, 8)
        assert_close(pool(x[samples]), pool(x)[samples])
        assert_close(pool(x[:, order]), pool(x))


def test_the_query_starts_small() -> None:
    query = AttentivePool(768, num_heads=12).query
    assert query.std().item() == pytest.approx(0.02, rel=0.2)


@pytest.mark.usefixtures("unchecked")
def test_wrong_sizes() -> None:
    for pool in (MeanPool(), AttentivePool(8, num_heads=2)):
        with pytest.raises((ValueError, RuntimeError)):
            pool(torch.zeros(2, 8))
    with pytest.raises((ValueError, RuntimeError)):
        AttentivePool(8, num_heads=2)(torch.zeros(2, 3, 4))
    for wrong in ({"num_heads": 3}, {"num_heads": 0}, {"norm_eps": 0.0}, {"dim": -8}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be"):
            AttentivePool(**({"dim": 8, "num_heads": 2} | wrong))
    with pytest.raises(ValueError, match="ratio must be"):
        AttentivePool(8, num_heads=2, mlp_ratio=0.0)
