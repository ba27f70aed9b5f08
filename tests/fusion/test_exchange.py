"""Fusion layers that run the streams' own blocks, against slow ones."""

import pytest
import slow
import torch
from slow import randomize
from torch import Tensor
from torch.testing import assert_close

from avblocks import AVEncoder, vit
from avblocks.fusion import BottleneckLayer, CrossLayer, FusionLayer
from avblocks.tokens import AVTokens

DIM = 16


def encoder(
    layer: type[FusionLayer], *, tokens: int, depths: tuple[int, int] = (2, 2)
) -> AVEncoder:
    numbers = {"num_heads": 2, "size": (8, 8), "patch": 4, "channels": 1}
    image, audio = (vit(DIM, depth=depth, **numbers) for depth in depths)
    fusion = [layer(DIM) for _ in range(max(depths))]
    return randomize(AVEncoder(image=image, audio=audio, fusion=fusion, num_tokens=tokens))


def inputs() -> tuple[Tensor, Tensor]:
    return tuple(torch.randn(2, 1, 8, width, dtype=torch.float64) for width in (8, 12))


def slow_layers(model: AVEncoder, layer: type[FusionLayer]) -> tuple[Tensor, Tensor, Tensor]:
    image, audio = inputs()
    tokens = model.embed(image=image, audio=audio)
    v, a, f = tokens.image, tokens.audio, tokens.fusion
    for one, two in zip(model.image.blocks, model.audio.blocks, strict=True):
        if layer is BottleneckLayer:
            new_v = slow.block(one, torch.cat((v, f), dim=1))
            new_a = slow.block(two, torch.cat((a, f), dim=1))
            v, a = new_v[:, :4], new_a[:, :6]
            f = (new_v[:, 4:] + new_a[:, 6:]) / 2
        else:
            new_v, new_a = (
                slow.block(one, torch.cat((v, a), dim=1)),
                slow.block(two, torch.cat((a, v), dim=1)),
            )
            v, a = new_v[:, :4], new_a[:, :6]
    if f.shape[1]:  # without fusion tokens there is no norm of theirs
        f = slow.layer_norm(model.fusion_norm, f)
    return slow.layer_norm(model.image.norm, v), slow.layer_norm(model.audio.norm, a), f


def parts(tokens: AVTokens) -> tuple[Tensor, ...]:
    return tokens.image, tokens.audio, tokens.fusion


LAYERS = pytest.mark.parametrize(("layer", "tokens"), [(BottleneckLayer, 3), (CrossLayer, 0)])


@LAYERS
def test_is_the_slow_one(layer: type[FusionLayer], tokens: int) -> None:
    model = encoder(layer, tokens=tokens)
    torch.manual_seed(1)
    image, audio = inputs()
    torch.manual_seed(1)
    assert_close(parts(model(image=image, audio=audio)), slow_layers(model, layer))


@LAYERS
def test_a_sample_without_a_modality_is_as_if_it_were_missing(
    layer: type[FusionLayer], tokens: int
) -> None:
    model, (image, audio) = encoder(layer, tokens=tokens), inputs()
    valid = torch.tensor([True, False])
    out = model(image=image, audio=audio, audio_valid=valid)
    both, alone = model(image=image[:1], audio=audio[:1]), model(image=image[1:], audio=None)
    assert_close(out.image, torch.cat((both.image, alone.image)))
    assert_close(out.fusion, torch.cat((both.fusion, alone.fusion)))
    assert_close(out.audio[:1], both.audio)


@LAYERS
def test_padding_is_as_if_it_were_cut_off(layer: type[FusionLayer], tokens: int) -> None:
    model, (image, audio) = encoder(layer, tokens=tokens), inputs()
    valid = torch.tensor([[True, True, True, True, False, False]] * 2)
    first = model.embed(image=image, audio=audio)
    whole = AVTokens(image=first.image, audio=first.audio, fusion=first.fusion, audio_valid=valid)
    short = AVTokens(image=first.image, audio=first.audio[:, :4], fusion=first.fusion)
    for layer_number in range(2):
        whole, short = model.layer(whole, layer_number), model.layer(short, layer_number)
    assert_close(whole.image, short.image)
    assert_close(whole.audio[:, :4], short.audio)
    assert_close(whole.fusion, short.fusion)


@LAYERS
def test_a_stream_whose_blocks_are_used_up_stays(layer: type[FusionLayer], tokens: int) -> None:
    model, (image, audio) = encoder(layer, tokens=tokens, depths=(2, 1)), inputs()
    first = model.layer(model.embed(image=image, audio=audio), 0)
    second = model.layer(first, 1)
    assert torch.equal(second.audio, first.audio) and not torch.equal(second.image, first.image)
    if tokens:
        joined = slow.block(model.image.blocks[1], torch.cat((first.image, first.fusion), dim=1))
        assert_close(second.fusion, joined[:, 4:])
