"""Convolutional patch embedding: masked patches are not seen, places are."""

import copy

import pytest
import torch
from slow import randomize
from torch import Tensor
from torch.testing import assert_close

from avblocks import RandomMask, av_mae, av_vit
from avblocks.nn import ConvPatchEmbed


def test_kept_tokens_contain_nothing_of_masked_patches() -> None:
    embed = ConvPatchEmbed(32, patch=(4, 4))
    image, kept = torch.randn(2, 3, 16, 24), torch.tensor([[0, 5, 23], [7, 8, 9]])
    other = torch.randn_like(image)
    for sample, places in enumerate(kept.tolist()):
        for place in places:
            row, column = 4 * (place // 6), 4 * (place % 6)
            area = (sample, slice(None), slice(row, row + 4), slice(column, column + 4))
            other[area] = image[area]
    assert torch.equal(embed(image, ids_keep=kept), embed(other, ids_keep=kept))
    assert not torch.allclose(embed(image), embed(other))
    other[image != other] = torch.nan
    assert torch.equal(embed(image, ids_keep=kept), embed(other, ids_keep=kept))


def test_all_patches_kept_are_the_whole_image_in_any_order() -> None:
    embed, image = ConvPatchEmbed(32, patch=(8, 8), channels=1), torch.randn(2, 1, 16, 32)
    order = torch.randperm(8).expand(2, -1)
    torch.testing.assert_close(embed(image, ids_keep=order), embed(image)[:, order[0]])


def test_rows_of_a_batch_do_not_mix() -> None:
    embed, image = ConvPatchEmbed(16, patch=(2, 2)), torch.randn(4, 3, 8, 8)
    torch.testing.assert_close(embed(image)[2:3], embed(image[2:3]))


@pytest.mark.usefixtures("unchecked")
def test_patches_that_do_not_fit() -> None:
    for patch in ((8, 4), (12, 12), (1, 1)):
        with pytest.raises(ValueError, match="patch must be two equal sides, a power of two"):
            ConvPatchEmbed(16, patch=patch)
    with pytest.raises(ValueError, match="width must be a multiple of 8"):
        ConvPatchEmbed(16, width=12)
    with pytest.raises(ValueError, match="size must be a multiple of the patch"):
        ConvPatchEmbed(16, patch=(8, 8))(torch.zeros(1, 3, 12, 16))
    with pytest.raises(ValueError, match="patch_embed must be one of"):
        av_vit(16, depth=1, num_heads=2, image_embed="stem")


def test_an_encoder_with_it_trains_and_copies() -> None:
    sizes = {"image_size": 32, "audio_size": (32, 32), "patch": 8}
    encoder = av_vit(32, depth=1, num_heads=2, image_embed="conv", **sizes)
    model = av_mae(encoder, dim=16, depth=1, num_heads=2)
    x = {"image": torch.rand(2, 3, 32, 32), "audio": torch.rand(2, 1, 32, 32)}
    masks = {f"{name}_mask": RandomMask(0.5)((4, 4), batch=2) for name in x}
    model(**x, **masks).loss.backward()
    stem = encoder.image.patch_embed
    assert all(p.grad is not None and p.grad.any() for p in stem.parameters())
    torch.testing.assert_close(copy.deepcopy(model)(**x, **masks).loss, model(**x, **masks).loss)
    with torch.device("meta"):
        assert next(ConvPatchEmbed(32).parameters()).is_meta


@pytest.mark.usefixtures("unchecked")
def test_an_exported_program_takes_kept_patches_of_any_batch() -> None:
    embed, batch = (
        ConvPatchEmbed(16, patch=(4, 4), width=8).eval(),
        torch.export.Dim("batch", max=8),
    )
    given = torch.rand(2, 3, 8, 8), torch.tensor([[0, 3], [1, 2]])
    sizes = {"x": {0: batch}, "ids_keep": {0: batch}}
    program = torch.export.export(embed, given[:1], {"ids_keep": given[1]}, dynamic_shapes=sizes)
    more = torch.rand(5, 3, 8, 8), torch.tensor([[2, 0]] * 5)
    found = program.module()(more[0], ids_keep=more[1])
    torch.testing.assert_close(found, embed(more[0], ids_keep=more[1]))


@pytest.mark.parametrize("masked", [False, True])
def test_padded_patches_do_not_reach_the_tokens_beside_them(masked: bool) -> None:
    encoder = av_vit(
        32, depth=1, num_heads=2, image_embed="conv", image_size=16, audio_size=(16, 16), patch=4
    )
    valid = torch.ones(2, 16, dtype=torch.bool)
    valid[:, 10:] = False
    image, audio = torch.rand(2, 3, 16, 16), torch.rand(2, 1, 16, 16)
    other = image.clone()
    other[:, :, 8:12, 8:], other[:, :, 12:] = torch.nan, 7.0  # patches from the eleventh on
    mask = RandomMask(0.5)((4, 4), batch=2) if masked else None
    found, wanted = (
        encoder(image=x, audio=audio, image_mask=mask, image_valid=valid) for x in (other, image)
    )
    kept = valid if mask is None else valid.gather(1, mask.ids_keep)
    assert torch.equal(found.image[kept], wanted.image[kept]) and kept.any()
    assert torch.equal(found.fusion, wanted.fusion)


def padded(image: Tensor, *, size: tuple[int, int], patch: int) -> tuple[Tensor, Tensor]:
    """An image in the corner of a larger one of other values, and which patches are its own."""
    height, width = image.shape[2:]
    large = torch.full((*image.shape[:2], *size), torch.nan, dtype=image.dtype)
    large[:, :, :height, :width] = image
    valid = torch.zeros(len(image), size[0] // patch, size[1] // patch, dtype=torch.bool)
    valid[:, : height // patch, : width // patch] = True
    return large, valid.flatten(1)


@pytest.mark.parametrize("patch", [2, 4, 8])
@pytest.mark.parametrize("tall", [True, False])
def test_an_image_has_the_same_tokens_with_and_without_padding(patch: int, tall: bool) -> None:
    embed = randomize(ConvPatchEmbed(16, patch=(patch, patch), width=8))
    image = 5 + torch.randn(2, 3, *((24, 8) if tall else (16, 24))).double()
    large, valid = padded(image, size=(32, 40), patch=patch)
    found, alone = embed(large, valid=valid), embed(image)
    assert_close(found[valid].view_as(alone), alone)
    kept = torch.stack([row.nonzero().flatten()[[0, 2, 1]] for row in valid])
    own = torch.tensor([[0, 2, 1]] * 2)
    assert_close(embed(large, valid=valid, ids_keep=kept), embed(image, ids_keep=own))
    assert_close(embed(image, valid=torch.ones(alone.shape[:2], dtype=torch.bool)), alone)


def test_an_encoder_gives_an_image_the_same_tokens_with_and_without_padding() -> None:
    """Also the fusion tokens, which read the image."""
    sizes = {"image_size": 32, "audio_size": (16, 16), "patch": 8, "image_embed": "conv"}
    encoder = randomize(av_vit(32, depth=2, num_heads=2, **sizes))
    audio, image = torch.randn(2, 1, 16, 16).double(), 3 + torch.randn(2, 3, 16, 24).double()
    large, valid = padded(image, size=(32, 32), patch=8)
    found, alone = (
        encoder(image=large, audio=audio, image_valid=valid),
        encoder(image=image, audio=audio),
    )
    assert_close(found.image[valid].view_as(alone.image), alone.image)
    assert_close(found.fusion, alone.fusion)
    assert_close(found.audio, alone.audio)


def test_an_image_of_padding_alone_has_finite_gradients() -> None:
    embed, image = ConvPatchEmbed(16, patch=(4, 4), width=8), torch.randn(2, 3, 8, 8)
    valid = torch.tensor([[True] * 4, [False] * 4])
    tokens = embed(image.requires_grad_(), valid=valid)
    tokens[valid].square().sum().backward()
    assert tokens.isfinite().all() and all(p.grad.isfinite().all() for p in embed.parameters())
    assert not image.grad[1].any() and image.grad[0].any()


@pytest.mark.usefixtures("unchecked")
def test_padding_is_compiled_and_exported_in_one_graph() -> None:
    embed = ConvPatchEmbed(16, patch=(4, 4), width=8).eval()
    image, valid = torch.rand(2, 3, 8, 16), torch.rand(2, 8) > 0.3
    compiled = torch.compile(embed, fullgraph=True, backend="eager")
    assert_close(compiled(image, valid=valid), embed(image, valid=valid))
    batch = torch.export.Dim("batch", max=8)
    sizes = {"x": {0: batch}, "valid": {0: batch}}
    program = torch.export.export(embed, (image,), {"valid": valid}, dynamic_shapes=sizes)
    more = torch.rand(5, 3, 8, 16), torch.rand(5, 8) > 0.3
    assert_close(program.module()(more[0], valid=more[1]), embed(more[0], valid=more[1]))
    with pytest.raises(ValueError, match=r"valid must have shape \(b=2, n=8\), got \(2, 4\)"):
        embed(image, valid=valid[:, :4])
