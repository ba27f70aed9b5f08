"""The separation head: against its formula written out, and what must not matter to it."""

import math
from dataclasses import replace

import pytest
import slow
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from slow import assert_same, randomize
from torch import Tensor, nn
from torch.testing import assert_close

from avblocks import AVTokens, av_vit
from avblocks.heads import (
    Separator,
    binary_mask,
    dominant_mask,
    ratio_mask,
    separation_loss,
    separator,
)
from avblocks.heads.unet import ConvPair, Lateral, Upscale


def tokens(b: int, n: int, d: int) -> Tensor:
    return torch.randn(b, n, d, dtype=torch.float64)


def encoded(b: int, *, dim: int, num_layers: int, grid: tuple[int, int]) -> list[AVTokens]:
    return [
        AVTokens(
            image=tokens(b, 3, dim), audio=tokens(b, math.prod(grid), dim), fusion=tokens(b, 2, dim)
        )
        for _ in range(num_layers)
    ]


def changed(module: nn.Module) -> nn.Module:
    """Random parameters, and statistics of batch norms that are not their first ones."""
    randomize(module)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.normal_(part.running_mean, std=0.3)
            nn.init.uniform_(part.running_var, 0.5, 2.0)
    return module.eval()


def slow_norm(norm: nn.BatchNorm2d, x: Tensor) -> Tensor:
    shape = (1, -1, 1, 1)
    deviation = (norm.running_var + norm.eps).sqrt().view(shape)
    centred = (x - norm.running_mean.view(shape)) / deviation
    return centred * norm.weight.view(shape) + norm.bias.view(shape)


def slow_conv(weight: Tensor, x: Tensor) -> Tensor:
    """3x3 with zeros around, one shift at a time."""
    height, width = x.shape[2:]
    padded = F.pad(x, (1, 1, 1, 1))
    return sum(
        torch.einsum("oc,bcyx->boyx", weight[:, :, i, j], moved)
        for i in range(3)
        for j in range(3)
        for moved in [padded[:, :, i : i + height, j : j + width]]
    )


def slow_pair(pair: nn.Module, x: Tensor) -> Tensor:
    x = slow_norm(pair.norm1, slow_conv(pair.conv1.weight, x)).clamp(min=0)
    return slow_norm(pair.norm2, slow_conv(pair.conv2.weight, x)).clamp(min=0)


def slow_up(up: nn.Module, x: Tensor, skip: Tensor | None = None) -> Tensor:
    """Each pixel becomes a square by a linear map."""
    factor = up.up.stride[0]
    x = torch.einsum("bcyx,coij->boyixj", x, up.up.weight).flatten(4).flatten(2, 3)
    assert x.shape[2] % factor == 0
    x = x + up.up.bias.view(1, -1, 1, 1)
    return slow_pair(up.conv, x if skip is None else torch.cat((x, skip), dim=1))


def slow_separator(head: Separator, layers: list[AVTokens], grid: tuple[int, int]) -> Tensor:
    image = slow.layer_norm(head.image_norm, layers[-1].image).mean(dim=1)
    maps = []
    for level, depth in enumerate(head.depths):
        lateral = head.laterals[level]
        x = slow.layer_norm(lateral.norm, layers[depth].audio)
        x = x.transpose(1, 2).reshape(len(x), -1, *grid)
        x = x if level == 0 else slow_up(lateral.up, x)
        condition = slow.linear(lateral.condition, image)[:, :, None, None]
        maps.append(torch.cat((x, condition + torch.zeros_like(x[:, :1])), dim=1))
    x = slow_pair(head.top, maps[0])
    for up, skip in zip(head.ups, maps[1:], strict=True):
        x = slow_up(up, x, skip)
    return slow_conv(head.pred.weight, x) + head.pred.bias.view(1, -1, 1, 1)


@given(st.sampled_from([2, 4, 8]), st.integers(1, 3), st.integers(1, 3), st.integers(1, 5))
def test_is_the_formula(patch: int, y: int, x: int, num_layers: int) -> None:
    head = changed(separator(2 * patch, patch=patch, num_layers=num_layers))
    layers = encoded(2, dim=2 * patch, num_layers=num_layers, grid=(y, x))
    out = head(layers, grid=(y, x))
    assert out.shape == (2, 1, y * patch, x * patch)
    assert_same(out, slow_separator(head, layers, (y, x)), head.parameters(), atol=1e-9)


def test_attentive_pooling_of_the_image() -> None:
    head = changed(separator(8, patch=2, num_layers=2, pooling="attentive", num_heads=2))
    layers = encoded(3, dim=8, num_layers=2, grid=(2, 2))
    tokens = slow.layer_norm(head.image_norm, layers[-1].image)
    pooled = head.pool(tokens)
    assert (pooled - tokens.mean(dim=1)).abs().min() > 0
    alone = [*layers[:-1], replace(layers[-1], image=pooled[:, None])]
    mean = separator(8, patch=2, num_layers=2)  # its norm would change the pooled tokens
    mean.load_state_dict(head.state_dict(), strict=False)
    mean.eval().double().image_norm = nn.Identity()
    assert_close(head(layers, grid=(2, 2)), mean(alone, grid=(2, 2)))


def test_attentive_pooling_reads_the_valid_image_tokens() -> None:
    head = changed(separator(8, patch=2, num_layers=2, pooling="attentive", num_heads=2))
    *_, last = layers = encoded(2, dim=8, num_layers=2, grid=(2, 2))
    valid = torch.ones(last.image.shape[:2], dtype=torch.bool)
    valid[:, -1] = False
    fewer = [*layers[:-1], replace(last, image=last.image[:, :-1])]
    marked = [*layers[:-1], replace(last, image_valid=valid)]
    assert_close(head(marked, grid=(2, 2)), head(fewer, grid=(2, 2)))


def test_a_pooling_of_your_own() -> None:
    class First(nn.Module):
        def forward(self, tokens: Tensor) -> Tensor:
            return tokens[:, 0]

    head = changed(separator(8, patch=2, num_layers=1))
    layers = encoded(2, dim=8, num_layers=1, grid=(2, 2))
    first = [replace(layers[0], image=layers[0].image[:, :1])]
    expected = head(first, grid=(2, 2))
    head.pool = First()
    assert_close(head(layers, grid=(2, 2)), expected)


def test_order_of_batch_and_of_image_tokens() -> None:
    head = changed(separator(8, patch=4, num_layers=3))
    layers = encoded(3, dim=8, num_layers=3, grid=(2, 3))
    out, order = head(layers, grid=(2, 3)), torch.tensor([2, 0, 1])
    moved = [AVTokens(image=x.image[order], audio=x.audio[order], fusion=x.fusion) for x in layers]
    assert_close(head(moved, grid=(2, 3)), out[order])
    turned = [AVTokens(image=x.image.flip(1), audio=x.audio, fusion=x.fusion) for x in layers]
    assert_close(head(turned, grid=(2, 3)), out)
    other = [AVTokens(image=x.image[order], audio=x.audio, fusion=x.fusion) for x in layers]
    assert (head(other, grid=(2, 3)) - out).abs().amax(dim=(1, 2, 3)).min() > 1e-3


def test_it_reads_its_depths_and_the_last_image_alone() -> None:
    head = changed(separator(8, patch=2, num_layers=4, depths=(1, 2)))
    layers = encoded(1, dim=8, num_layers=4, grid=(2, 2))
    out = head(layers, grid=(2, 2))
    for layer in range(4):
        for name in ("image", "audio", "fusion"):
            parts = {n: getattr(layers[layer], n) for n in ("image", "audio", "fusion")}
            parts[name] = parts[name] + torch.randn_like(parts[name])
            new = [*layers[:layer], AVTokens(**parts), *layers[layer + 1 :]]
            same = torch.equal(head(new, grid=(2, 2)), out)
            read = (name == "audio" and layer in (1, 2)) or (name == "image" and layer == 3)
            assert same != read, (layer, name)


@pytest.mark.parametrize(
    ("sizes", "depths"),
    [
        ({}, (0, 2, 5, 8, 11)),
        ({"patch": 8, "num_layers": 4}, (0, 1, 2, 3)),
        ({"patch": 8, "num_layers": 6}, (0, 1, 3, 5)),
        ({"patch": 4, "num_layers": 1}, (0, 0, 0)),
    ],
)
def test_default_depths(sizes: dict[str, int], depths: tuple[int, ...]) -> None:
    assert separator(32, **sizes).depths == depths


def test_every_parameter_learns_behind_a_tiny_encoder() -> None:
    encoder = av_vit(32, depth=4, num_heads=4, image_size=32, audio_size=(32, 48), patch=8)
    head, audio = separator(32, patch=8, num_layers=4), torch.randn(2, 1, 32, 48)
    layers = encoder.intermediates(image=torch.randn(2, 3, 32, 32), audio=audio)
    logits = head(layers, grid=encoder.audio.grid(audio))
    separation_loss(logits, torch.rand_like(logits), mixture=audio).backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in head.parameters())
    assert encoder.image.patch_embed.proj.weight.grad.abs().max() > 0


def test_initial_weights() -> None:
    head = separator(64, patch=2, num_layers=2)
    lateral = head.laterals[1]
    bound = math.sqrt(6 / (64 + 32))
    assert lateral.condition.bias.abs().max() == 0
    assert 0.95 * bound < lateral.condition.weight.abs().max() <= bound
    for conv, fan_out in ((head.top.conv1, 64 * 9), (lateral.up.up, 64 * 4), (head.pred, 9)):
        assert_close(conv.weight.std().item(), math.sqrt(2 / fan_out), rtol=0.15, atol=0)


@given(st.integers(1, 3), st.integers(1, 4))
def test_masks_are_their_formulas(b: int, t: int) -> None:
    mixture, source = torch.randn(2, b, 1, 3, t, dtype=torch.float64)
    ratio, binary = ratio_mask(mixture, source), binary_mask(mixture, source)
    for place in torch.cartesian_prod(*map(torch.arange, mixture.shape)).tolist():
        whole, own = (10 ** x[tuple(place)].item() for x in (mixture, source))
        assert math.isclose(ratio[tuple(place)], own / (own + whole + 1e-5), rel_tol=1e-12)
        assert binary[tuple(place)] == (1.0 if own > whole else 0.0)


def test_masks_of_loud_bins_in_half_precision() -> None:
    """Their powers exceed float16."""
    loud = torch.full((1, 1, 1, 1), 5.0).half()
    assert ratio_mask(loud, loud).item() == 0.5 and ratio_mask(loud, loud).dtype == torch.float16
    assert dominant_mask(loud, loud).item() == binary_mask(loud, loud + 0.1).item() == 1.0


@given(st.integers(1, 3), st.integers(1, 4))
def test_loss_is_its_formula(b: int, t: int) -> None:
    logits = torch.randn(b, 1, 3, t, dtype=torch.float64, requires_grad=True)
    mask, mixture = torch.rand_like(logits), 4 * torch.randn_like(logits)
    weight = torch.log(1 + 10**mixture).clamp(1e-3, 10)
    share = 1 / (1 + (-logits).exp())
    entropy = -(mask * share.log() + (1 - mask) * (1 - share).log())
    loss = separation_loss(logits, mask, mixture=mixture)
    assert_same(loss, (weight * entropy).sum() / logits.numel(), [logits])


def test_loss_under_autocast_is_that_of_float32() -> None:
    mixture, mask = 4 * torch.randn(1, 1, 4, 4), torch.rand(1, 1, 4, 4)
    logits = torch.randn(1, 1, 4, 4).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = separation_loss(logits, mask, mixture=mixture)
    assert_close(loss, separation_loss(logits.float(), mask, mixture=mixture))


@pytest.mark.usefixtures("unchecked")
def test_compiles_whole() -> None:
    head = changed(separator(8, patch=2, num_layers=2))
    layers = encoded(2, dim=8, num_layers=2, grid=(2, 3))
    compiled = torch.compile(head, fullgraph=True, backend="aot_eager")
    assert_close(compiled(layers, grid=(2, 3)), head(layers, grid=(2, 3)))


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"patch": 12}, "patch must be a power of two"),
        ({"patch": 1}, "patch must be a power of two"),
        ({"dim": 24}, "dim must be a multiple of the patch 16"),
        ({"depths": (0, 1, 2)}, "depths must be 5 layer indices"),
        ({"depths": (0, 1, 2, 3, 12)}, "depths must be below 12"),
        ({"depths": (0, 1, 2, 3, -1)}, "depths must be 5 layer indices"),
        ({"num_layers": 0}, "num_layers must be a positive"),
        ({"pooling": "attentive", "num_heads": 5}, "num_heads must"),
    ],
)
def test_impossible_numbers(sizes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        separator(**({"dim": 32} | sizes))


@pytest.mark.usefixtures("unchecked")
def test_wrong_parts_and_inputs() -> None:
    lateral, pred = Lateral(8, factor=1), nn.Conv2d(8, 1, 3, padding=1)
    top = ConvPair(16, out_channels=8)
    for parts, message in (
        ({"ups": [Upscale(8, factor=2)]}, "ups must be 0 of them"),
        ({"laterals": []}, "laterals must be at least one"),
        ({"depths": (0, 1)}, "depths must be 1 layer"),
    ):
        whole = {"laterals": [lateral], "top": top, "ups": [], "pred": pred, "depths": (0,)}
        with pytest.raises(ValueError, match=message):
            Separator(**(whole | parts))
    head = separator(8, patch=2, num_layers=2).double()
    layers = encoded(2, dim=8, num_layers=2, grid=(2, 3))
    blind = AVTokens(image=None, audio=layers[1].audio, fusion=layers[1].fusion)
    deaf = AVTokens(image=layers[0].image, audio=None, fusion=layers[0].fusion)
    for some, grid, message in (
        (layers, (3, 3), "audio must have shape"),
        (layers[:1], (2, 3), "layers must be more than 1"),
        ([layers[0], blind], (2, 3), "image must be given"),
        ([deaf, layers[1]], (2, 3), "audio must be given"),
        (encoded(2, dim=4, num_layers=2, grid=(2, 3)), (2, 3), "shape"),
    ):
        with pytest.raises((ValueError, RuntimeError), match=message):
            head(some, grid=grid)
    x = torch.zeros(1, 1, 2, 3)
    for mask, mixture in ((x[..., :1], x), (x, x[:, :, :1])):
        with pytest.raises(ValueError, match=r"(mask|mixture) must have shape"):
            separation_loss(x, mask, mixture=mixture)
    up = Upscale(4, factor=2, skip_channels=3)
    for skip in (None, torch.zeros(1, 3, 4, 5), torch.zeros(1, 2, 4, 6)):
        with pytest.raises((ValueError, RuntimeError)):
            up(torch.zeros(1, 4, 2, 3), skip=skip)
    with pytest.raises(ValueError, match="channels must be a multiple of 3"):
        Upscale(4, factor=3)
