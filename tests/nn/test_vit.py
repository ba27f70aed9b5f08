import copy
import pickle

import pytest
import slow
import torch
from slow import assert_same, randomize
from torch import Tensor
from torch.testing import assert_close

from avblocks import (
    Block,
    PatchEmbed,
    RandomMask,
    SinCosPosition,
    ViT,
    patchify,
    resize_position,
    sincos_position,
    vit,
    vit_base,
    vit_huge,
    vit_large,
    vit_small,
    vit_tiny,
)


def small(**changes: object) -> ViT:
    numbers = {"depth": 2, "num_heads": 2, "size": (8, 12), "patch": 4, "mlp_ratio": 2.0}
    return randomize(vit(16, **(numbers | changes)))


def image(*size: int, channels: int = 3) -> Tensor:
    return torch.randn(2, channels, *size, dtype=torch.float64)


def slow_vit(model: ViT, x: Tensor, position: Tensor) -> Tensor:
    proj = model.patch_embed.proj
    convolved = torch.nn.functional.conv2d if x.ndim == 4 else torch.nn.functional.conv3d
    patches = convolved(x, proj.weight, proj.bias, stride=proj.stride)
    tokens = patches.flatten(2).transpose(1, 2) + position.to(x)
    for layer in model.blocks:
        tokens = slow.block(layer, tokens)
    return slow.layer_norm(model.norm, tokens)


@pytest.mark.parametrize("size", [(8, 12), (12, 8), (16, 20), (4, 4)])
def test_vit_is_the_plain_loop_at_any_size(size: tuple[int, int]) -> None:
    model, x = small(), image(*size)
    position = sincos_position(16, (size[0] // 4, size[1] // 4))
    assert_same(model(x), slow_vit(model, x, position), model.parameters())


def test_video() -> None:
    model = small(size=(4, 8, 8), patch=(2, 4, 4))
    x = image(6, 8, 4)
    assert_same(model(x), slow_vit(model, x, sincos_position(16, (3, 2, 1))), model.parameters())


@pytest.mark.parametrize("size", [(8, 12), (16, 12)])
def test_learned_positions(size: tuple[int, int]) -> None:
    model, x = small(learned_position=True), image(*size)
    grid = (size[0] // 4, size[1] // 4)
    table = resize_position(model.pos_embed.table, grid=(2, 3), new_grid=grid)
    assert_same(model(x), slow_vit(model, x, table), model.parameters())


def test_permuting_patches_with_their_positions_permutes_tokens() -> None:
    model, x = small(), image(8, 12)
    order = torch.stack([torch.randperm(6) for _ in range(2)])
    out = model(x)
    permuted = torch.stack([out[b, order[b]] for b in range(2)])
    assert_close(model(x, ids_keep=order), permuted)


def test_kept_patches_see_nothing_of_the_masked() -> None:
    model, x = small(), image(8, 12)
    mask = RandomMask(0.5)((2, 3), batch=2)
    other = x.clone()
    for b, ids in enumerate(mask.ids_masked.tolist()):
        for i in ids:
            row, column = 4 * (i // 3), 4 * (i % 3)
            other[b, :, row : row + 4, column : column + 4] = 9.0
    assert torch.equal(model(x, ids_keep=mask.ids_keep), model(other, ids_keep=mask.ids_keep))


def test_order_of_the_batch() -> None:
    model, x = small(), image(8, 12)
    assert_close(model(x.flip(0)), model(x).flip(0))


@pytest.mark.parametrize(
    ("build", "millions"),
    # timm's counts of vit_*_patch*_224 without head, less class token and positions.
    [
        (vit_tiny, 5.524416 - 198 * 192e-6),
        (vit_small, 21.665664 - 198 * 384e-6),
        (vit_base, 85.798656 - 198 * 768e-6),
        (vit_large, 303.301632 - 198 * 1024e-6),
        (vit_huge, 630.764800 - 258 * 1280e-6),
    ],
)
def test_named_sizes_on_the_meta_device(build: type[ViT], millions: float) -> None:
    with torch.device("meta"):
        model = build()
        assert model(torch.zeros(1, 3, 224, 224)).shape[::2] == (1, model.dim)
    assert sum(p.numel() for p in model.parameters()) == round(millions * 1e6)


def test_names_are_timms() -> None:
    parts = ("norm1", "attn.q", "attn.kv", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2")
    names = [
        "patch_embed.proj",
        *(f"blocks.{i}.{part}" for i in range(2) for part in parts),
        "norm",
    ]
    assert set(small().state_dict()) == {
        f"{n}.{kind}" for n in names for kind in ("weight", "bias")
    }


def test_copies() -> None:
    model, x = small(learned_position=True), image(8, 12)
    other = small(learned_position=True)
    other.load_state_dict(model.state_dict())
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), other):
        assert torch.equal(twin(x), model(x))


@pytest.mark.usefixtures("unchecked")
def test_parts_that_do_not_fit() -> None:
    parts = {
        "patch_embed": PatchEmbed(8, patch=(4, 4)),
        "pos_embed": SinCosPosition(8, grid=(2, 2)),
        "norm": torch.nn.LayerNorm(8),
    }
    with pytest.raises(ValueError, match="blocks must be at least one block, got 0"):
        ViT(blocks=[], **parts)
    others = {
        "pos_embed": SinCosPosition(16, grid=(2, 2)),
        "norm": torch.nn.LayerNorm(16),
        "blocks": [Block(8, num_heads=2), Block(16, num_heads=2)],
    }
    for name, part in others.items():
        given = {"blocks": [Block(8, num_heads=2)], **parts, name: part}
        with pytest.raises(ValueError, match=rf"{name}.* as wide as the other parts' 8, got 16"):
            ViT(**given)
    with pytest.raises(ValueError, match="input must have shape"):
        ViT(blocks=[Block(8, num_heads=2)], **parts)(torch.zeros(2, 1, 8, 8))


class Quantized(torch.nn.Module):
    """A patch embedding of one's own with integer weights and a scale."""

    def __init__(self, embed: PatchEmbed) -> None:
        super().__init__()
        weight = embed.proj.weight.detach().flatten(1)
        self.scale = weight.abs().amax(1, keepdim=True) / 127
        self.weight = torch.nn.Parameter((weight / self.scale).round().char(), requires_grad=False)
        self.bias, self.grid = embed.proj.bias, embed.grid
        self.dim, self.patch, self.channels = embed.dim, embed.patch, embed.channels

    def forward(self, x: Tensor, *, ids_keep: Tensor | None = None) -> Tensor:
        patches = patchify(x, patch=(4, 4)).unflatten(2, (16, 3)).transpose(2, 3).flatten(2)
        return patches @ (self.weight * self.scale).T + self.bias


def test_a_patch_embedding_of_another_precision() -> None:
    model, x = small(prefix_tokens=1).float(), image(8, 12).float()
    wanted = model(x)
    model.patch_embed.bfloat16()
    assert_close(model(x.bfloat16()), wanted, rtol=0.1, atol=0.1)


def test_a_patch_embedding_of_integers() -> None:
    model, x = small(), image(8, 12)
    wanted = model(x)
    model.patch_embed = Quantized(model.patch_embed)
    assert_close(model(x), wanted, rtol=0.1, atol=0.1)


class Once(torch.nn.Module):
    """One position for all patches."""

    def forward(self, grid: tuple[int, ...]) -> Tensor:
        return torch.zeros(1, 16)


def test_positions_are_one_a_patch() -> None:
    model = vit(16, depth=1, num_heads=2, size=16, patch=4)
    model.pos_embed = Once()
    with pytest.raises(ValueError, match="position"):
        model(torch.zeros(1, 3, 16, 16))
