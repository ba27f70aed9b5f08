from dataclasses import FrozenInstanceError

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from avblocks import Mask
from avblocks.nn import gather_tokens


@st.composite
def masks(draw: st.DrawFn) -> Mask:
    b, n = draw(st.integers(1, 4)), draw(st.integers(2, 12))
    order = torch.stack([torch.randperm(n) for _ in range(b)])
    return Mask.from_order(order, num_kept=draw(st.integers(1, n - 1)))


@given(masks(), st.sampled_from((torch.float32, torch.float64, torch.bfloat16)))
def test_unmask_after_mask_is_the_identity(mask: Mask, dtype: torch.dtype) -> None:
    tokens = torch.randn(*mask.is_masked.shape, 3).to(dtype)
    kept, masked = mask.kept(tokens), mask.masked(tokens)
    assert torch.equal(mask.restore(kept=kept, masked=masked), tokens)


@given(masks())
def test_is_masked_says_who_is_where(mask: Mask) -> None:
    (b, k), n = mask.ids_keep.shape, mask.is_masked.shape[1]
    assert mask.num_tokens == n
    for row in range(b):
        kept, unseen = set(mask.ids_keep[row].tolist()), set(mask.ids_masked[row].tolist())
        assert kept | unseen == set(range(n)) and len(kept) == k
        assert {i for i in range(n) if mask.is_masked[row, i]} == unseen


@given(masks())
def test_permuting_the_batch_permutes_the_output(mask: Mask) -> None:
    tokens = torch.randn(*mask.is_masked.shape, 2)
    perm = torch.randperm(len(tokens))
    permuted = Mask(mask.ids_keep[perm], mask.ids_masked[perm])
    assert torch.equal(permuted.kept(tokens[perm]), mask.kept(tokens)[perm])
    assert torch.equal(permuted.is_masked, mask.is_masked[perm])


@pytest.mark.parametrize("num_kept", [-1, 0, 5, 6])
def test_something_is_kept_and_something_masked(num_kept: int) -> None:
    with pytest.raises(ValueError, match=rf"num_kept must be in \[1, 5\), got {num_kept}"):
        Mask.from_order(torch.arange(5)[None], num_kept=num_kept)


@pytest.mark.usefixtures("unchecked")
def test_misfits() -> None:
    mask = Mask.from_order(torch.arange(5).expand(2, 5), num_kept=2)
    with pytest.raises(ValueError, match=r"kept must have shape .*k=2"):
        mask.restore(kept=torch.zeros(2, 3, 4), masked=torch.zeros(2, 2, 4))
    with pytest.raises(ValueError, match=r"masked must have shape .*u=3"):
        mask.restore(kept=torch.zeros(2, 2, 4), masked=torch.zeros(2, 1, 4))
    with pytest.raises(ValueError, match=r"ids must have shape .*b=1"):
        mask.kept(torch.zeros(1, 5, 4))
    with pytest.raises(ValueError, match="ids must have shape"):
        gather_tokens(torch.zeros(2, 5, 4), torch.zeros(2, 3, 1).long())


def test_moves_and_stays_what_it_is() -> None:
    mask = Mask.from_order(torch.arange(4)[None], num_kept=1)
    assert mask.to("meta").ids_masked.device.type == "meta"
    with pytest.raises(FrozenInstanceError):
        mask.ids_keep = mask.ids_masked
