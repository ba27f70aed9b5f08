import itertools

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from slow import assert_same
from torch.utils.flop_counter import FlopCounterMode

from avblocks import PatchEmbed, patchify, unpatchify


@st.composite
def cuts(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[int, ...]]:
    axes = draw(st.sampled_from((2, 3)))
    side = st.lists(st.integers(1, 4), min_size=axes, max_size=axes).map(tuple)
    return draw(side), draw(side)


def picture(grid: tuple[int, ...], patch: tuple[int, ...], channels: int = 3) -> torch.Tensor:
    size = tuple(g * p for g, p in zip(grid, patch, strict=True))
    return torch.randn(2, channels, *size)


@given(cuts(), st.integers(1, 3), st.sampled_from((torch.float32, torch.float64, torch.bfloat16)))
def test_unpatchify_is_the_inverse(
    cut: tuple[tuple[int, ...], tuple[int, ...]], channels: int, dtype: torch.dtype
) -> None:
    grid, patch = cut
    x = picture(grid, patch, channels).to(dtype)
    assert torch.equal(unpatchify(patchify(x, patch=patch), patch=patch, grid=grid), x)


@given(cuts())
def test_patches_are_in_row_major_order_with_channels_last(
    cut: tuple[tuple[int, ...], tuple[int, ...]],
) -> None:
    grid, patch = cut
    x = picture(grid, patch)
    patches = patchify(x, patch=patch)
    for n, cell in enumerate(itertools.product(*map(range, grid))):
        corner = [slice(i * p, (i + 1) * p) for i, p in zip(cell, patch, strict=True)]
        values = x[(slice(None), slice(None), *corner)].movedim(1, -1)
        assert torch.equal(patches[:, n], values.flatten(1))


@given(cuts())
def test_embedding_is_the_convolution(cut: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    grid, patch = cut
    embed = PatchEmbed(5, patch=patch, channels=3).double()
    x = picture(grid, patch).double().requires_grad_()
    conv = F.conv2d if len(patch) == 2 else F.conv3d
    slow = conv(x, embed.proj.weight, embed.proj.bias, stride=patch).flatten(2).transpose(1, 2)
    assert_same(embed(x), slow, [x, *embed.parameters()])


@given(cuts(), st.data())
def test_kept_patches_are_those_of_all(
    cut: tuple[tuple[int, ...], tuple[int, ...]], data: st.DataObject
) -> None:
    grid, patch = cut
    embed, x = PatchEmbed(4, patch=patch).double(), picture(grid, patch).double()
    n = embed(x).shape[1]
    ids = torch.randint(n, (2, data.draw(st.integers(1, n))))
    rows = torch.stack([embed(x)[b, ids[b]] for b in range(2)])
    assert_same(embed(x, ids_keep=ids), rows, embed.parameters())


def test_masked_patches_cost_nothing() -> None:
    embed, x = PatchEmbed(8, patch=(4, 4)), torch.randn(2, 3, 16, 16)
    counts = []
    for ids in (None, torch.randint(16, (2, 4))):
        with FlopCounterMode(display=False) as flops:
            embed(x, ids_keep=ids)
        counts.append(flops.get_total_flops())
    assert counts == [2 * 2 * 16 * 48 * 8, 2 * 2 * 4 * 48 * 8]


def test_initial_weights_are_a_linear_layers() -> None:
    embed = PatchEmbed(64, patch=(8, 8))
    bound = (6 / (64 + 192)) ** 0.5
    assert 0.98 * bound < embed.proj.weight.abs().max() <= bound
    assert not embed.proj.bias.any()


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((2, 3, 16, 17), "size must be a multiple of the patch"),
        ((2, 3, 2, 4), "size must be a multiple of the patch"),
        ((2, 1, 16, 16), r"input must have shape .*c=3.*, got \(2, 1"),
        ((3, 16, 16), "input must have shape"),
        ((2, 3, 4, 16, 16), "input must have shape"),
    ],
)
def test_misfits(shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PatchEmbed(8, patch=(4, 4))(torch.zeros(shape))


@pytest.mark.usefixtures("unchecked")
def test_bytes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"input must be floating: scale .* got torch.uint8"):
        PatchEmbed(8, patch=(4, 4))(torch.zeros(1, 3, 8, 8, dtype=torch.uint8))


@pytest.mark.usefixtures("unchecked")
def test_ids_of_another_batch_do_not_broadcast() -> None:
    with pytest.raises(ValueError, match="ids must have shape"):
        PatchEmbed(8, patch=(4, 4))(torch.zeros(2, 3, 8, 8), ids_keep=torch.zeros(1, 2).long())


@pytest.mark.parametrize("patch", [(4,), (1, 1, 4, 4)])
def test_patchify_takes_two_or_three_sides(patch: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="patch must be two or three positive sides"):
        patchify(torch.zeros(2, 3, *(8 for _ in patch)), patch=patch)


@pytest.mark.parametrize(
    ("patch", "grid"),
    [
        ((4, 4), (2, 3)),
        ((4, 4), (2, 1, 2)),
        ((5, 4), (2, 2)),
        ((1, 4, 4), (2, 2)),
        ((1, 4, 4), (1, 2, 3)),
        ((4,), (2,)),
    ],
)
def test_unpatchify_refuses(patch: tuple[int, ...], grid: tuple[int, ...]) -> None:
    with pytest.raises((ValueError, RuntimeError)):
        unpatchify(torch.zeros(2, 4, 48), patch=patch, grid=grid)


def test_initialization_is_that_of_a_linear_layer_in_any_memory_format() -> None:
    embed, linear = PatchEmbed(8, patch=(4, 4)), torch.nn.Linear(48, 8)
    torch.manual_seed(0)
    torch.nn.init.xavier_uniform_(linear.weight)
    torch.manual_seed(0)
    embed.reset_parameters()
    assert torch.equal(embed.proj.weight.flatten(1), linear.weight)
    embed.to(memory_format=torch.channels_last)
    before = embed.proj.weight.detach().clone()
    embed.reset_parameters()
    assert not torch.equal(embed.proj.weight, before)
    assert embed.proj.weight.abs().max() <= (6 / 56) ** 0.5
