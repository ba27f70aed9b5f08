import pytest
import slow
import torch
from hypothesis import given
from hypothesis import strategies as st
from slow import assert_same, randomize
from torch import Tensor
from torch.testing import assert_close

from avblocks import FactorizedFusion

COUNTS = (3, 2, 1)


def tokens(n: int) -> Tensor:
    return torch.randn(2, n, 8, dtype=torch.float64, requires_grad=True)


def make(counts: tuple[int, int, int] = COUNTS, ratio: float = 0.25) -> FactorizedFusion:
    fuse = FactorizedFusion(8, num_heads=2, num_tokens=counts, attn_ratio=ratio)
    return randomize(fuse)


@given(
    st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3)),
    st.integers(1, 5),
    st.integers(1, 5),
    st.sampled_from((0.25, 1.0)),
)
def test_fusion_is_aggregation_then_all_pairs(
    counts: tuple[int, int, int], n_v: int, n_a: int, ratio: float
) -> None:
    fuse = make(counts, ratio)
    fusion, image, audio = tokens(sum(counts)), tokens(n_v), tokens(n_a)
    wanted = slow.fuse(fuse, fusion, image, audio)
    leaves = [fusion, image, audio, *fuse.parameters()]
    assert_same(fuse(fusion, image=image, audio=audio), wanted, leaves)


def test_widths_of_the_pairs() -> None:
    pairs = FactorizedFusion(16, num_heads=2).pairs
    assert (pairs.q.out_features, pairs.k_image.out_features, pairs.v_audio.out_features) == (
        4,
        4,
        16,
    )


@pytest.mark.parametrize("missing", ["image", "audio"])
def test_aggregates_of_a_missing_modality_are_zeros(missing: str) -> None:
    fuse, fusion, one = make(), tokens(6), tokens(5)
    both = {"image": one, "audio": one} | {missing: None}
    wanted = slow.fuse(fuse, fusion, **both)
    own = slice(3, 5) if missing == "image" else slice(5, 6)
    assert not wanted[:, own].any()
    assert_same(fuse(fusion, **both), wanted, [fusion, one, *fuse.parameters()])


def test_order_of_patches_does_not_matter() -> None:
    fuse, fusion, image, audio = make(), tokens(6), tokens(5), tokens(4)
    moved = fuse(fusion, image=image.flip(1), audio=audio.flip(1))
    assert_close(moved, fuse(fusion, image=image, audio=audio))


@pytest.mark.usefixtures("unchecked")
def test_misfits_raise() -> None:
    fuse, right = FactorizedFusion(8, num_heads=2, num_tokens=COUNTS), torch.zeros(2, 5, 8)
    with pytest.raises(
        ValueError, match=r"fusion must have shape \(b, n_f=6, d\), got \(2, 5, 8\)"
    ):
        fuse(right, image=right, audio=right)
    for name in ("image", "audio"):
        with pytest.raises((ValueError, RuntimeError)):
            fuse(torch.zeros(2, 6, 8), **{"image": right, "audio": right, name: right[:1]})
