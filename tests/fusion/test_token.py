import pytest
import slow
import torch
from hypothesis import given
from hypothesis import strategies as st
from slow import assert_same, randomize
from torch import Tensor

from avblocks import TokenFusion


def tokens(n: int) -> Tensor:
    return torch.randn(2, n, 8, dtype=torch.float64, requires_grad=True)


@given(st.integers(1, 4), st.integers(1, 5), st.integers(1, 5), st.sampled_from((0.25, 1.0)))
def test_fusion_tokens_attend_to_both(n_f: int, n_v: int, n_a: int, ratio: float) -> None:
    fuse = randomize(TokenFusion(8, num_heads=2, attn_ratio=ratio))
    fusion, image, audio = tokens(n_f), tokens(n_v), tokens(n_a)
    wanted = slow.fuse(fuse, fusion, image, audio)
    leaves = [fusion, image, audio, *fuse.parameters()]
    assert_same(fuse(fusion, image=image, audio=audio), wanted, leaves)


def test_a_missing_modality_is_left_out_of_the_keys() -> None:
    fuse, fusion, one = randomize(TokenFusion(8, num_heads=2)), tokens(3), tokens(5)
    for given_one in ({"image": one, "audio": None}, {"image": None, "audio": one}):
        wanted = slow.cross_attention(fuse.attn, fusion, one)
        assert_same(fuse(fusion, **given_one), wanted, [fusion, one, *fuse.parameters()])
    assert not fuse(fusion, image=None, audio=None).any()


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("wrong", [(1, 5, 8), (2, 5, 4), (5, 8)])
def test_misfits_raise(wrong: tuple[int, ...]) -> None:
    fuse, fusion, right = TokenFusion(8, num_heads=2), torch.zeros(2, 3, 8), torch.zeros(2, 5, 8)
    with pytest.raises((ValueError, RuntimeError)):
        fuse(fusion, image=torch.zeros(wrong), audio=right)
    with pytest.raises((ValueError, RuntimeError)):
        fuse(fusion, image=right, audio=torch.zeros(wrong))
    with pytest.raises((ValueError, RuntimeError)):
        fuse(fusion, image=torch.zeros(wrong), audio=torch.zeros(wrong))
