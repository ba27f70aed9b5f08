import pytest
import slow
import torch
from hypothesis import given
from hypothesis import strategies as st
from slow import assert_same, randomize
from torch import Tensor
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from avblocks import DenseFusion, FusionBlock


def tokens(n: int, *, b: int = 2) -> Tensor:
    return torch.randn(b, n, 8, dtype=torch.float64, requires_grad=True)


@given(
    st.tuples(st.integers(1, 4), st.integers(1, 5), st.integers(1, 5)),
    st.sampled_from((0.25, 0.5, 1.0)),
    st.sampled_from((None, 1.0)),
)
def test_two_attentions_are_the_attention_to_all_pairs(
    counts: tuple[int, int, int], ratio: float, value_ratio: float | None
) -> None:
    fuse = DenseFusion(8, num_heads=2, attn_ratio=ratio, value_ratio=value_ratio)
    fusion, image, audio = (tokens(n) for n in counts)
    wanted = slow.all_pairs(randomize(fuse), fusion, image, audio)
    leaves = [fusion, image, audio, *fuse.parameters()]
    assert_same(fuse(fusion, image=image, audio=audio), wanted, leaves)


@pytest.mark.parametrize("missing", ["image", "audio"])
def test_a_missing_modality_is_one_token_of_zeros(missing: str) -> None:
    fuse, fusion, one = randomize(DenseFusion(8, num_heads=2)), tokens(3), tokens(5)
    both = {"image": one, "audio": one} | {missing: None}
    wanted = slow.fuse(fuse, fusion, **both)
    assert_same(fuse(fusion, **both), wanted, [fusion, one, *fuse.parameters()])
    assert not fuse(fusion, image=None, audio=None).any()


def test_order_matters_for_the_fusion_tokens_alone() -> None:
    fuse, fusion, image, audio = (
        randomize(DenseFusion(8, num_heads=2)),
        tokens(3),
        tokens(5),
        tokens(4),
    )
    out = fuse(fusion, image=image, audio=audio)
    moved = fuse(
        fusion[:, [2, 0, 1]], image=image[:, torch.randperm(5)], audio=audio[:, torch.randperm(4)]
    )
    assert_close(moved, out[:, [2, 0, 1]])
    swapped = fuse(fusion.flip(0), image=image.flip(0), audio=audio.flip(0))
    assert_close(swapped, out.flip(0))


class Largest(TorchDispatchMode):
    """Records the size of the largest tensor any operation returns, in the backward pass too."""

    numel = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        tensors = [leaf for leaf in tree_leaves(out) if isinstance(leaf, Tensor)]
        self.numel = max([self.numel, *(tensor.numel() for tensor in tensors)])
        return out


def largest(n_v: int, n_a: int, *, slowly: bool) -> int:
    block = FusionBlock(8, interaction=DenseFusion(8, num_heads=2), mlp_ratio=1.0).double()
    fusion, image, audio = tokens(4, b=1), tokens(n_v, b=1), tokens(n_a, b=1)
    with Largest() as seen:
        if slowly:
            out = slow.fusion_block(block, fusion, image, audio)
        else:
            out = block(fusion, image=image, audio=audio)
        out.sum().backward()
    return seen.numel


def test_nothing_of_all_pairs_is_allocated() -> None:
    n_v, n_a = 196, 96
    assert largest(n_v, n_a, slowly=False) <= 8 * n_v < n_v * n_a
    assert largest(n_v, n_a, slowly=True) >= 16 * n_v * n_a


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("wrong", [(1, 5, 8), (2, 5, 4), (5, 8)])
def test_misfits_raise(wrong: tuple[int, ...]) -> None:
    fuse, fusion, right = DenseFusion(8, num_heads=2), torch.zeros(2, 3, 8), torch.zeros(2, 5, 8)
    with pytest.raises((ValueError, RuntimeError)):
        fuse(fusion, image=torch.zeros(wrong), audio=right)
    with pytest.raises((ValueError, RuntimeError)):
        fuse(fusion, image=right, audio=torch.zeros(wrong))
    with pytest.raises((ValueError, RuntimeError)):
        fuse(fusion, image=torch.zeros(wrong), audio=torch.zeros(wrong))
    with pytest.raises((ValueError, RuntimeError)):
        fuse(torch.zeros(2, 3, 4), image=right, audio=right)
