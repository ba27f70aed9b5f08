import pytest
import slow
import torch
from hypothesis import given
from hypothesis import strategies as st
from slow import assert_same, randomize
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from avblocks import Decoder, Mask, RandomMask, sincos_position


def make(depth: int = 2, *, grid: tuple[int, ...] = (2, 3)) -> Decoder:
    decoder = Decoder(6, grid=grid, patch_values=5, dim=8, depth=depth, num_heads=2)
    return randomize(decoder)


def tokens(n: int, d: int = 6) -> Tensor:
    return torch.randn(2, n, d, dtype=torch.float64, requires_grad=True)


def slow_decoder(
    decoder: Decoder, kept: Tensor, *, fusion: Tensor, mask: Mask, grid: tuple[int, ...]
) -> Tensor:
    """Mask tokens put in place, all blocks over all tokens, all patches predicted, some kept."""
    (b, n), k = mask.is_masked.shape, kept.shape[1]
    embedded = slow.linear(decoder.embed, kept)
    rows = []
    for row in range(b):
        place = {int(i): at for at, i in enumerate(mask.ids_keep[row])}
        rows.append(
            torch.stack(
                [
                    embedded[row, place[i]] if i in place else decoder.mask_token[0, 0]
                    for i in range(n)
                ]
            )
        )
    patches = torch.stack(rows) + sincos_position(8, grid).double()
    assert len(place) == k
    x = torch.cat((slow.linear(decoder.embed, fusion), patches), dim=1)
    for layer in decoder.blocks:
        x = slow.block(layer, x)
    pred = slow.linear(decoder.pred, slow.layer_norm(decoder.norm, x))[:, fusion.shape[1] :]
    return torch.stack([pred[row, mask.ids_masked[row]] for row in range(b)])


@given(
    st.integers(1, 3),
    st.lists(st.integers(1, 3), min_size=2, max_size=3).filter(lambda grid: max(grid) > 1),
    st.integers(1, 3),
)
def test_decoder_is_the_whole_slow_one(depth: int, grid: list[int], n_f: int) -> None:
    decoder, grid = make(depth), tuple(grid)
    mask = RandomMask(0.5)(grid, batch=2)
    kept, fusion = tokens(mask.ids_keep.shape[1]), tokens(n_f)
    given_all = {"fusion": fusion, "mask": mask, "grid": grid}
    wanted = slow_decoder(decoder, kept, **given_all)
    leaves = [kept, fusion, *decoder.parameters()]
    assert_same(decoder(kept, **given_all), wanted, leaves, atol=1e-10)


def test_the_last_block_works_on_masked_patches_alone() -> None:
    decoder, mask = make(1, grid=(4, 4)), RandomMask(0.75)((4, 4), batch=2)
    kept, fusion, d = tokens(4), tokens(3), 8
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as flops:
        decoder(kept, fusion=fusion, mask=mask, grid=(4, 4))
    seen, unseen = 2 * (4 + 3), 2 * 12
    ends = seen * 6 * d + unseen * d * 5
    block = unseen * 12 * d * d + seen * 2 * d * d + unseen * (4 + 3 + 12) * 2 * d
    assert flops.get_total_flops() == 2 * (ends + block)


def test_starts() -> None:
    decoder = Decoder(64, grid=(2, 2), patch_values=256, dim=64, depth=1, num_heads=4)
    assert abs(decoder.mask_token.std() - 0.02) < 0.008
    assert not decoder.embed.bias.any() and not decoder.pred.bias.any()
    assert {m.eps for m in decoder.modules() if isinstance(m, torch.nn.LayerNorm)} == {1e-5}


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kept": tokens(2)}, r"kept must have shape \(b=2, k=3, d=6\), got \(2, 2, 6\)"),
        ({"kept": tokens(3)[:1]}, "kept must have shape"),
        ({"kept": tokens(3, 8), "fusion": tokens(3, 8)}, "kept must have shape .*d=6"),
        ({"fusion": tokens(3)[:1]}, "fusion must have shape .*b=2"),
        ({"fusion": tokens(3, 8)}, "fusion must have shape .*d=6"),
        ({"grid": (3, 3)}, "mask must be over the grid's 9 patches, got 6"),
    ],
)
def test_misfits(changes: dict, message: str) -> None:
    mask = RandomMask(0.5)((2, 3), batch=2)
    given_all = {"kept": tokens(3), "fusion": tokens(3), "mask": mask, "grid": (2, 3)} | changes
    kept = given_all.pop("kept")
    with pytest.raises(ValueError, match=message):
        make()(kept, **given_all)
