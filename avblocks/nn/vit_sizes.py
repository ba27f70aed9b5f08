"""ViTs of common sizes, by name."""

from typing import TypedDict, Unpack

import torch

from avblocks.builder import options_of
from avblocks.nn.vit import PatchEmbedName, ViT, vit


class _Options(TypedDict, total=False):
    size: int | tuple[int, ...]
    channels: int
    mlp_ratio: float
    drop_path: float
    norm_eps: float
    learned_position: bool
    prefix_tokens: int
    patch_embed: PatchEmbedName
    device: torch.device | str | None
    dtype: torch.dtype | None


class _PatchOptions(_Options, total=False):
    patch: int | tuple[int, ...]


@options_of(vit)
def vit_tiny(*, depth: int = 12, num_heads: int = 3, **options: Unpack[_PatchOptions]) -> ViT:
    """ViT-Ti/16 (DeiT): width 192, 12 blocks, 3 heads; takes the other arguments of `vit`."""
    return vit(192, depth=depth, num_heads=num_heads, **options)


@options_of(vit)
def vit_small(*, depth: int = 12, num_heads: int = 6, **options: Unpack[_PatchOptions]) -> ViT:
    """ViT-S/16 (DeiT): width 384, 12 blocks, 6 heads; takes the other arguments of `vit`."""
    return vit(384, depth=depth, num_heads=num_heads, **options)


@options_of(vit)
def vit_base(*, depth: int = 12, num_heads: int = 12, **options: Unpack[_PatchOptions]) -> ViT:
    """ViT-B/16, the paper's: width 768, 12 blocks, 12 heads; takes the other arguments of `vit`."""
    return vit(768, depth=depth, num_heads=num_heads, **options)


@options_of(vit)
def vit_large(*, depth: int = 24, num_heads: int = 16, **options: Unpack[_PatchOptions]) -> ViT:
    """ViT-L/16 (MAE): width 1024, 24 blocks, 16 heads; takes the other arguments of `vit`."""
    return vit(1024, depth=depth, num_heads=num_heads, **options)


@options_of(vit)
def vit_huge(
    *,
    depth: int = 32,
    num_heads: int = 16,
    patch: int | tuple[int, ...] = 14,
    **options: Unpack[_Options],
) -> ViT:
    """ViT-H/14 (MAE): width 1280, 32 blocks, 16 heads; takes the other arguments of `vit`."""
    return vit(1280, depth=depth, num_heads=num_heads, patch=patch, **options)
