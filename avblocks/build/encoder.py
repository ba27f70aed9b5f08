"""Builders of encoders from numbers, with the values of the paper as defaults."""

from collections.abc import Callable, Collection
from functools import partial
from typing import Any, Literal, get_args

import torch
from torch import nn

from avblocks.builder import accepted, builder
from avblocks.encoder import AVEncoder
from avblocks.fusion.block import FusionBlock
from avblocks.fusion.dense import DenseFusion
from avblocks.fusion.exchange import BottleneckLayer
from avblocks.fusion.factorized import FactorizedFusion, require_num_tokens
from avblocks.fusion.layer import FusionLayer
from avblocks.fusion.token import TokenFusion
from avblocks.nn.vit import PatchEmbedName, vit
from avblocks.shapes import require, sides

FusionName = Literal["token", "dense", "factorized"]
FusionLayers = Literal["all", "none"] | Collection[int]
FusionKind = FusionName | Literal["bottleneck"] | Callable[..., nn.Module]
"""One of the three fusions, MBT's `BottleneckLayer`, or your class, called with ``dim`` and those
of ``num_heads``, ``num_tokens``, ``attn_ratio``, ``mlp_ratio`` and ``drop_path`` that its signature
has."""


@builder
def fusion_block(
    dim: int,
    *,
    fusion: FusionKind = "factorized",
    num_heads: int = 12,
    num_tokens: tuple[int, ...] = (16, 8, 8),
    attn_ratio: float = 0.25,
    mlp_ratio: float = 1.0,
    drop_path: float = 0.0,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> FusionBlock:
    """Build a fusion block around one of the three interactions, or around your class.

    Args:
        dim: width of a token.
        fusion: name of one of the three interactions, or a class of your own.
        num_heads: heads of the interaction.
        num_tokens: fusion and aggregation tokens; only factorized fusion distinguishes them.
        attn_ratio: width of the interaction's attention as a fraction of ``dim``.
        mlp_ratio: hidden width of the block's MLP as a multiple of ``dim``.
        drop_path: stochastic depth.
        device: device of the weights.
        dtype: data type of the weights.

    Raises:
        ValueError: if the name is unknown or a number is out of range.
    """
    _require_fusion(fusion, num_tokens)
    kind = _KINDS[fusion] if isinstance(fusion, str) else fusion
    numbers = {"num_heads": num_heads, "num_tokens": num_tokens, "attn_ratio": attn_ratio}
    interaction = kind(dim, **accepted(kind, **numbers))
    return FusionBlock(dim, interaction=interaction, mlp_ratio=mlp_ratio, drop_path=drop_path)


_KINDS = {"token": TokenFusion, "dense": DenseFusion, "factorized": FactorizedFusion}


def _require_fusion(fusion: FusionKind, num_tokens: tuple[int, ...]) -> None:
    fits = fusion in _KINDS if isinstance(fusion, str) else callable(fusion)
    require(fits, "fusion", fusion, f"one of {(*get_args(FusionName), 'bottleneck')} or a class")
    if isinstance(fusion, str):
        require_num_tokens(num_tokens)
    else:
        fits = all(isinstance(count, int) and count >= 0 for count in num_tokens)
        require(fits, "num_tokens", num_tokens, "integers, 0 or more")


@builder
def av_vit(
    dim: int,
    *,
    depth: int | tuple[int, int],
    num_heads: int,
    image_size: int | tuple[int, ...] = 224,
    audio_size: tuple[int, int] = (128, 192),
    patch: int | tuple[int, ...] = 16,
    fusion: FusionKind = "factorized",
    fusion_layers: FusionLayers = "all",
    num_tokens: tuple[int, ...] = (16, 8, 8),
    attn_ratio: float = 0.25,
    mlp_ratio: float = 1.0,
    drop_path: float = 0.0,
    image_embed: PatchEmbedName = "linear",
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> AVEncoder:
    """Build an early-fusion encoder from two ViTs of one width.

    Args:
        dim: width of a token.
        depth: blocks of both ViTs, or of the image ViT and of the audio ViT.
        num_heads: heads of each block and of the fusion.
        image_size: default side of the image, (height, width), or (frames, height, width) of a
            video.
        audio_size: default (mel bins, frames) of the spectrogram.
        patch: side or sides of a patch of both modalities; with three sides, (frames, height,
            width), the image is a video, and the spectrogram uses the last two.
        fusion: name of one of the three interactions; ``"bottleneck"`` for the `BottleneckLayer` of
            MBT, with all of ``num_tokens`` as its tokens; or a class of your own: an interaction or
            a `FusionLayer`. It is called with ``dim`` and those of ``num_heads``, ``num_tokens``,
            ``attn_ratio``, ``mlp_ratio`` and ``drop_path`` that its signature has.
        fusion_layers: ``"all"``, ``"none"``, or the indices of the layers with fusion.
        num_tokens: fusion, image aggregation and audio aggregation tokens; for your own class, any
            counts.
        attn_ratio: width of the interaction's attention as a fraction of ``dim`` (AudioSet: 1.0).
        mlp_ratio: hidden width of the fusion blocks' MLPs as a multiple of ``dim`` (AudioSet: 4.0).
        drop_path: stochastic depth of all blocks.
        image_embed: patch embedding of the image: ``"linear"``, one linear map, or ``"conv"``,
            `ConvPatchEmbed`, which needs fewer training images.
        device: device of the weights.
        dtype: data type of the weights.

    Raises:
        ValueError: if a number is out of range, a size is not a multiple of the patch, or a fusion
            layer does not exist.

    Example:
        >>> encoder = av_vit(64, depth=4, num_heads=4, fusion="dense", fusion_layers=[1, 3])
        >>> sorted(encoder.fusion_blocks)
        ['1', '3']
    """
    kind = BottleneckLayer if fusion == "bottleneck" else fusion
    _require_fusion(kind, num_tokens)
    image_depth, audio_depth = sides(depth, axes=2, name="depth")
    layers = _layers(fusion_layers, depth=max(image_depth, audio_depth))
    stream = partial(vit, dim, num_heads=num_heads, drop_path=drop_path)
    numbers = {
        "num_heads": num_heads,
        "num_tokens": num_tokens,
        "attn_ratio": attn_ratio,
        "mlp_ratio": mlp_ratio,
        "drop_path": drop_path,
    }
    axes = 2 if isinstance(patch, int) else len(patch)
    image_size = sides(image_size, axes=axes, name="image_size")
    audio_patch = patch if isinstance(patch, int) else patch[-2:]
    return AVEncoder(
        image=stream(
            depth=image_depth, size=image_size, patch=patch, channels=3, patch_embed=image_embed
        ),
        audio=stream(depth=audio_depth, size=audio_size, patch=audio_patch, channels=1),
        fusion=[_fusion(dim, kind, numbers) if fused else None for fused in layers],
        num_tokens=sum(num_tokens),
    )


def _fusion(dim: int, fusion: FusionKind, numbers: dict[str, Any]) -> nn.Module:
    if isinstance(fusion, type) and issubclass(fusion, FusionLayer):
        return fusion(dim, **accepted(fusion, **numbers))
    return fusion_block(dim, fusion=fusion, **numbers)


def _layers(fusion_layers: FusionLayers, *, depth: int) -> list[bool]:
    takes = f"'all', 'none' or layer indices in [0, {depth}), each once"
    every = {"all": range(depth), "none": ()}
    layers = every.get(fusion_layers) if isinstance(fusion_layers, str) else fusion_layers
    fits = (
        isinstance(layers, Collection)
        and all(isinstance(i, int) and 0 <= i < depth for i in layers)
        and len(set(layers)) == len(layers)
    )
    require(fits, "fusion_layers", fusion_layers, takes)
    return [layer in (layers or ()) for layer in range(depth)]
