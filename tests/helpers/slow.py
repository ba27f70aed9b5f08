"""Slow formulas, written out from the papers: what the package computes in quicker ways.

They take the package's modules for their weights only, and never call their ``forward``.
"""

import math
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.testing import assert_close


def attention(q: Tensor, k: Tensor, v: Tensor, *, heads: int, scale: float) -> Tensor:
    """Softmax attention, a head at a time."""
    outs = []
    for q_h, k_h, v_h in zip(*(x.chunk(heads, dim=-1) for x in (q, k, v)), strict=True):
        logits = torch.einsum("bie,bje->bij", q_h, k_h) * scale
        weights = logits.exp() / logits.exp().sum(dim=-1, keepdim=True)
        outs.append(torch.einsum("bij,bje->bie", weights, v_h))
    return torch.cat(outs, dim=-1)


def linear(layer: nn.Linear, x: Tensor) -> Tensor:
    out = torch.einsum("...i,oi->...o", x, layer.weight)
    return out if layer.bias is None else out + layer.bias


def layer_norm(norm: nn.LayerNorm, x: Tensor) -> Tensor:
    centred = x - x.mean(dim=-1, keepdim=True)
    deviation = (centred.square().mean(dim=-1, keepdim=True) + norm.eps).sqrt()
    return centred / deviation * norm.weight + norm.bias


def mlp(layers: nn.Module, x: Tensor) -> Tensor:
    hidden = linear(layers.fc1, x)
    return linear(layers.fc2, hidden * 0.5 * (1 + torch.erf(hidden / math.sqrt(2))))


def self_attention(attn: nn.Module, x: Tensor) -> Tensor:
    """Ordinary self-attention over all of ``x``."""
    q, (k, v) = linear(attn.q, x), linear(attn.kv, x).chunk(2, dim=-1)
    scale = (x.shape[-1] / attn.num_heads) ** -0.5
    return linear(attn.proj, attention(q, k, v, heads=attn.num_heads, scale=scale))


def cross_attention(attn: nn.Module, x: Tensor, source: Tensor) -> Tensor:
    k, v = linear(attn.kv, source).chunk(2, dim=-1)
    scale = (k.shape[-1] / attn.num_heads) ** -0.5
    out = attention(linear(attn.q, x), k, v, heads=attn.num_heads, scale=scale)
    return linear(attn.proj, out)


def block(layer: nn.Module, x: Tensor) -> Tensor:
    """A pre-norm transformer block over all of ``x``."""
    x = x + self_attention(layer.attn, layer_norm(layer.norm1, x))
    return x + mlp(layer.mlp, layer_norm(layer.norm2, x))


def all_pairs(dense: nn.Module, fusion: Tensor, image: Tensor, audio: Tensor) -> Tensor:
    """Attention to every pair ``[image_i; audio_j]``, each of the n_v * n_a formed."""
    b, n_v, d = image.shape
    n_a = audio.shape[1]
    left = image[:, :, None].expand(b, n_v, n_a, d)
    right = audio[:, None].expand(b, n_v, n_a, d)
    pairs = torch.cat((left, right), dim=-1).reshape(b, n_v * n_a, 2 * d)
    k_weight = torch.cat((dense.k_image.weight, dense.k_audio.weight), dim=1)
    v_weight = torch.cat((dense.v_image.weight, dense.v_audio.weight), dim=1)
    q = linear(dense.q, fusion)
    k = torch.einsum("bpi,oi->bpo", pairs, k_weight) + dense.k_image.bias
    v = torch.einsum("bpi,oi->bpo", pairs, v_weight) + dense.v_bias
    scale = (d / dense.num_heads) ** -0.5
    return linear(dense.proj, attention(q, k, v, heads=dense.num_heads, scale=scale))


def fuse(
    interaction: nn.Module, fusion: Tensor, image: Tensor | None, audio: Tensor | None
) -> Tensor:
    """Any of the three interactions; where a modality is missing, as their docstrings say."""
    if hasattr(interaction, "attn"):
        sources = [tokens for tokens in (image, audio) if tokens is not None]
        return cross_attention(interaction.attn, fusion, torch.cat(sources, dim=1))
    if not hasattr(interaction, "pairs"):
        one_zero = torch.zeros_like(fusion[:, :1])
        image, audio = (one_zero if x is None else x for x in (image, audio))
        return all_pairs(interaction, fusion, image, audio)
    tokens, of_image, of_audio = fusion.split(interaction.num_tokens, dim=1)
    readers = interaction.image_aggregator.attn, interaction.audio_aggregator.attn
    of_image, of_audio = (
        torch.zeros_like(own) if source is None else cross_attention(reader, own, source)
        for reader, own, source in zip(readers, (of_image, of_audio), (image, audio), strict=True)
    )
    tokens = all_pairs(interaction.pairs, tokens, of_image, of_audio)
    return torch.cat((tokens, of_image, of_audio), dim=1)


def fusion_block(
    layer: nn.Module, fusion: Tensor, image: Tensor | None, audio: Tensor | None
) -> Tensor:
    """The residual is added to the normalised fusion tokens."""
    normed = layer_norm(layer.norm_fusion, fusion)
    image = None if image is None else layer_norm(layer.norm_image, image)
    audio = None if audio is None else layer_norm(layer.norm_audio, audio)
    fusion = normed + fuse(layer.interaction, normed, image, audio)
    return fusion + mlp(layer.mlp, layer_norm(layer.norm_mlp, fusion))


def assert_same(
    ours: Tensor, slow: Tensor, leaves: Iterable[Tensor], *, atol: float = 1e-12
) -> None:
    """Equal values, and equal gradients of a random projection at every leaf."""
    assert_close(ours, slow, rtol=0, atol=atol)
    leaves = list(leaves)
    weight = torch.randn_like(ours)
    pair = [
        torch.autograd.grad((out * weight).sum(), leaves, allow_unused=True, materialize_grads=True)
        for out in (ours, slow)
    ]
    assert max(grad.abs().max() for grad in pair[1]) > 1e-3
    for mine, theirs in zip(*pair, strict=True):
        assert_close(mine, theirs, rtol=0, atol=atol)


def randomize(model: nn.Module) -> nn.Module:
    """Float64 and no parameter at a special value: biases, norms and tokens included."""
    for parameter in model.parameters():
        nn.init.normal_(parameter, mean=0.1, std=0.3)
    return model.double()


def plain_vit(state: dict[str, Tensor], x: Tensor, *, heads: int, eps: float = 1e-6) -> Tensor:
    """MAE's encoder as its paper says, in the file's own names and layout."""

    def apply(x: Tensor, name: str) -> Tensor:
        return F.linear(x, state[f"{name}.weight"], state[f"{name}.bias"])

    def norm(x: Tensor, name: str) -> Tensor:
        w, b = state[f"{name}.weight"], state[f"{name}.bias"]
        return F.layer_norm(x, w.shape, w, b, eps)

    kernel, bias = state["patch_embed.proj.weight"], state["patch_embed.proj.bias"]
    patches = F.conv2d(x, kernel, bias, stride=16).flatten(2).transpose(1, 2)
    first = state["cls_token"].expand(len(x), -1, -1)
    x = torch.cat((first, patches), dim=1) + state["pos_embed"]
    for block in ("blocks.0", "blocks.1"):
        qkv = apply(norm(x, f"{block}.norm1"), f"{block}.attn.qkv")
        q, k, v = qkv.unflatten(2, (3, heads, -1)).permute(2, 0, 3, 1, 4)
        read = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        x = x + apply(read, f"{block}.attn.proj")
        x = x + apply(
            F.gelu(apply(norm(x, f"{block}.norm2"), f"{block}.mlp.fc1")), f"{block}.mlp.fc2"
        )
    return norm(x, "norm") if "norm.weight" in state else x
