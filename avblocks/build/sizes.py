"""Encoders of common sizes, by name."""

from typing import TypedDict, Unpack

import torch

from avblocks.build.encoder import FusionKind, FusionLayers, av_vit
from avblocks.builder import options_of
from avblocks.encoder import AVEncoder
from avblocks.nn.vit import PatchEmbedName


class _Options(TypedDict, total=False):
    image_size: int | tuple[int, ...]
    fusion: FusionKind
    fusion_layers: FusionLayers
    num_tokens: tuple[int, ...]
    attn_ratio: float
    mlp_ratio: float
    drop_path: float
    image_embed: PatchEmbedName
    device: torch.device | str | None
    dtype: torch.dtype | None


class _PatchOptions(_Options, total=False):
    audio_size: tuple[int, int]
    patch: int | tuple[int, ...]


Depth = int | tuple[int, int]


@options_of(av_vit)
def av_vit_tiny(
    *, depth: Depth = 12, num_heads: int = 3, **options: Unpack[_PatchOptions]
) -> AVEncoder:
    """Two ViT-Ti/16; takes the other arguments of `av_vit`."""
    return av_vit(192, depth=depth, num_heads=num_heads, **options)


@options_of(av_vit)
def av_vit_small(
    *, depth: Depth = 12, num_heads: int = 6, **options: Unpack[_PatchOptions]
) -> AVEncoder:
    """Two ViT-S/16; takes the other arguments of `av_vit`."""
    return av_vit(384, depth=depth, num_heads=num_heads, **options)


@options_of(av_vit)
def av_vit_base(
    *, depth: Depth = 12, num_heads: int = 12, **options: Unpack[_PatchOptions]
) -> AVEncoder:
    """Two ViT-B/16, the paper's encoder; takes the other arguments of `av_vit`."""
    return av_vit(768, depth=depth, num_heads=num_heads, **options)


@options_of(av_vit)
def av_vit_large(
    *, depth: Depth = 24, num_heads: int = 16, **options: Unpack[_PatchOptions]
) -> AVEncoder:
    """Two ViT-L/16; takes the other arguments of `av_vit`."""
    return av_vit(1024, depth=depth, num_heads=num_heads, **options)


@options_of(av_vit)
def av_vit_huge(
    *,
    depth: Depth = 32,
    num_heads: int = 16,
    patch: int | tuple[int, ...] = 14,
    audio_size: tuple[int, int] = (126, 196),
    **options: Unpack[_Options],
) -> AVEncoder:
    """Two ViT-H/14 over spectrograms of (126, 196); takes the other arguments of `av_vit`."""
    numbers = {"depth": depth, "num_heads": num_heads, "patch": patch, "audio_size": audio_size}
    return av_vit(1280, **numbers, **options)
