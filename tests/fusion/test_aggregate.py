import pytest
import slow
import torch
from hypothesis import given
from hypothesis import strategies as st
from slow import assert_same, randomize
from torch.testing import assert_close

from avblocks import Aggregator


@given(st.integers(1, 4), st.integers(1, 6), st.sampled_from((1, 2, 4)))
def test_aggregation_is_attention_of_full_width(n: int, n_s: int, heads: int) -> None:
    aggregate = randomize(Aggregator(8, num_heads=heads))
    tokens = torch.randn(2, n, 8, dtype=torch.float64, requires_grad=True)
    source = torch.randn(2, n_s, 8, dtype=torch.float64, requires_grad=True)
    wanted = slow.cross_attention(aggregate.attn, tokens, source)
    assert_same(aggregate(tokens, source), wanted, [tokens, source, *aggregate.parameters()])


def test_tokens_follow_their_order_and_not_the_sources() -> None:
    aggregate, tokens, source = (
        Aggregator(8, num_heads=2),
        torch.randn(2, 3, 8),
        torch.randn(2, 5, 8),
    )
    out = aggregate(tokens, source)
    assert_close(aggregate(tokens.flip(1), source[:, torch.randperm(5)]), out.flip(1))


def test_a_missing_source_reads_as_zeros() -> None:
    aggregate = randomize(Aggregator(8, num_heads=2))
    assert torch.equal(aggregate(torch.randn(2, 3, 8), None), torch.zeros(2, 3, 8))


@pytest.mark.usefixtures("unchecked")
def test_a_source_of_one_sample_does_not_broadcast() -> None:
    with pytest.raises(ValueError, match="keys and values must be of the queries' batch, 2, got 1"):
        Aggregator(8, num_heads=2)(torch.zeros(2, 3, 8), torch.zeros(1, 5, 8))
