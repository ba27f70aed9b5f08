"""Encoders of one modality go wherever a `ViT` goes: masks, our fusion on top, layer decay."""

import pytest
import torch
from slow import randomize
from torch import nn
from torch.testing import assert_close

from avblocks import AVEncoder, RandomMask, av_mae, fusion_block
from avblocks.nn import Stream
from avblocks.zoo import ast, dinov2, eat, mbt, videomae

AUDIO = {
    "ast": lambda: ast(64, depth=2, num_heads=4, size=(48, 56)),
    "eat": lambda: eat(64, depth=2, num_heads=4, size=(48, 64)),
}


def image_stream() -> nn.Module:
    return dinov2(64, depth=3, num_heads=4, size=42, registers=2)


def test_parts_may_be_modules() -> None:
    """From Python 3.12 on `isinstance` with a protocol does not look among them by itself."""
    module = nn.Module()
    for part in ("grid", "embed", "blocks", "norm"):
        module.add_module(part, nn.Identity())
    assert not isinstance(module, Stream)
    module.dim = 8
    assert isinstance(module, Stream) and not isinstance(nn.Identity(), Stream)


@pytest.mark.parametrize("name", AUDIO)
def test_two_of_them_with_our_fusion(name: str) -> None:
    fusion = [fusion_block(64, num_heads=4, num_tokens=(4, 2, 2)) for _ in range(3)]
    streams = {"image": image_stream(), "audio": AUDIO[name]()}
    assert all(isinstance(stream, Stream) for stream in streams.values())
    model = randomize(AVEncoder(**streams, fusion=fusion, num_tokens=8)).float()
    image, audio = torch.randn(2, 3, 56, 42), torch.randn(2, 1, 48, 64)
    out = model(image=image, audio=audio)
    assert out.image.shape == (2, 12, 64) and out.image_prefix.shape == (2, 3, 64)
    assert out.audio.shape[1] == model.audio.grid(audio)[0] * model.audio.grid(audio)[1]
    grads = torch.autograd.grad(
        (out.image * torch.randn_like(out.image)).sum()
        + (out.fusion * torch.randn_like(out.fusion)).sum(),
        [model.image.prefix_tokens, model.audio.prefix_tokens, model.audio.patch_embed.proj.weight],
    )
    assert all(grad.abs().sum() > 0 for grad in grads)
    assert set(model.param_layers().values()) == set(range(5))


@pytest.mark.parametrize("name", AUDIO)
def test_without_fusion_a_stream_is_the_model_alone(name: str) -> None:
    model = AVEncoder(image=image_stream(), audio=AUDIO[name](), fusion=[None] * 3, num_tokens=0)
    model = randomize(model).float().eval()
    image, audio = torch.randn(2, 3, 42, 42), torch.randn(2, 1, 48, 64)
    out = model(image=image, audio=audio)
    assert_close(torch.cat((out.image_prefix, out.image), dim=1), model.image(image))
    assert_close(torch.cat((out.audio_prefix, out.audio), dim=1), model.audio(audio))


@pytest.mark.parametrize("name", AUDIO)
def test_masked_patches_are_not_seen(name: str) -> None:
    model, audio = randomize(AUDIO[name]()).float().eval(), torch.randn(2, 1, 48, 64)
    grid = model.grid(audio)
    mask = RandomMask(0.5)(grid, batch=2)
    kept = model.embed(audio)[:, model.num_prefix :].gather(
        1, mask.ids_keep[..., None].expand(-1, -1, 64)
    )
    assert_close(model.embed(audio, ids_keep=mask.ids_keep)[:, model.num_prefix :], kept)


def test_video_with_our_fusion() -> None:
    video = videomae(64, depth=2, num_heads=4, size=(4, 32, 32), final_norm=False)
    fusion = [fusion_block(64, num_heads=4, num_tokens=(4, 2, 2)) for _ in range(2)]
    model = randomize(AVEncoder(image=video, audio=AUDIO["eat"](), fusion=fusion, num_tokens=8))
    x, audio = torch.randn(2, 3, 6, 48, 32).double(), torch.randn(2, 1, 48, 64).double()
    out = model(image=x, audio=audio)
    assert out.image.shape == (2, 3 * 3 * 2, 64) and out.image_prefix is None
    assert not torch.allclose(out.image, model.image(x))


def test_masked_pre_training_of_dinov2_and_eat() -> None:
    fusion = [fusion_block(64, num_heads=4, num_tokens=(4, 2, 2)) for _ in range(3)]
    encoder = AVEncoder(image=image_stream(), audio=AUDIO["eat"](), fusion=fusion, num_tokens=8)
    model = av_mae(encoder, dim=32, depth=1, num_heads=2)
    masks = {
        "image_mask": RandomMask(0.5)((3, 3), batch=2),
        "audio_mask": RandomMask(0.5)((3, 4), batch=2),
    }
    out = model(image=torch.randn(2, 3, 42, 42), audio=torch.randn(2, 1, 48, 64), **masks)
    assert out.pred_image.shape == (2, 5, 14 * 14 * 3) and out.loss.isfinite()


def test_mbt_without_one_modality() -> None:
    numbers = {"depth": 3, "num_heads": 4, "fusion_layer": 1, "num_classes": 5}
    model = randomize(mbt(64, image_size=(2, 32, 32), audio_size=(32, 48), **numbers)).float()
    image, audio = torch.randn(2, 3, 2, 32, 32), torch.randn(2, 1, 32, 48)
    both, alone = model(image=image, audio=audio), model(image=image, audio=None)
    assert both.shape == alone.shape == (2, 5)
    tokens = model.encoder(image=image, audio=None)
    assert_close(alone, model.head(tokens.image_prefix[:, 0]))
    assert model.encoder.image.norm is model.encoder.audio.norm
