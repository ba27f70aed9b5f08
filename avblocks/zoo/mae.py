"""MAE and AudioMAE: their ViTs whole, with class token, norm and the file's own positions."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from avblocks.builder import builder
from avblocks.nn.block import Block
from avblocks.nn.norm import layer_norm
from avblocks.nn.patch import PatchEmbed
from avblocks.nn.position import LearnedPosition
from avblocks.nn.vit import ViT
from avblocks.shapes import grid_of, require, sides
from avblocks.zoo.names import vit_encoder, vit_names, vit_sizes

_PREFIXES = ("vit.",)
_POSITIONS = "pos_embed.table"


@builder
def mae(
    dim: int = 768,
    *,
    depth: int = 12,
    num_heads: int = 12,
    size: int | tuple[int, ...] = 224,
    patch: int | tuple[int, ...] = 16,
    channels: int = 3,
    mlp_ratio: float = 4.0,
    final_norm: bool = True,
    drop_path: float = 0.0,
    norm_eps: float = 1e-6,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> ViT:
    """MAE's encoder with its class token; with one channel, AudioMAE's.

    Args:
        dim: width of a token.
        depth: number of blocks.
        num_heads: heads of each block.
        size: usual side of the image, (height, width), or (mel bins, frames).
        patch: side of a patch, or its sides.
        channels: channels of the input.
        mlp_ratio: hidden width of the MLPs as a multiple of ``dim``.
        final_norm: whether the blocks end in a norm: fine-tuned files norm the mean instead.
        drop_path: stochastic depth.
        norm_eps: epsilon of the norms.
        device: where it is built.
        dtype: number format of its weights.

    Raises:
        ValueError: if a number is impossible.

    Source: MAE (arXiv 2111.06377), AudioMAE (arXiv 2207.06405).

    Example:
        >>> mae(64, depth=1, num_heads=1, size=32)(torch.zeros(2, 3, 32, 32)).shape
        torch.Size([2, 5, 64])
    """
    size, patch = sides(size, axes=2, name="size"), sides(patch, axes=2, name="patch")
    numbers: dict[str, Any] = {"num_heads": num_heads, "mlp_ratio": mlp_ratio}
    numbers |= {"drop_path": drop_path, "norm_eps": norm_eps}
    return ViT(
        patch_embed=PatchEmbed(dim, patch=patch, channels=channels),
        pos_embed=LearnedPosition(dim, grid=grid_of(size, patch)),
        blocks=[Block(dim, **numbers) for _ in range(depth)],
        norm=layer_norm(dim, norm_eps=norm_eps) if final_norm else nn.Identity(),
        prefix_tokens=1,
    )


def from_mae(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The encoder's tensors of a file of MAE or AudioMAE, or of a plain timm ViT, by our names.

    AudioMAE's spectrograms are (frames, mel bins): patches and positions are turned to ours.
    """
    named = vit_encoder(vit_names(state, prefixes=_PREFIXES), "cls_token", with_position=1)
    kernel = named["patch_embed.proj.weight"]
    if kernel.shape[1] == 1:
        named["patch_embed.proj.weight"] = kernel.transpose(2, 3).contiguous()
        columns = _MELS // kernel.shape[3]
        table = named[_POSITIONS].unflatten(0, (-1, columns))
        named[_POSITIONS] = table.transpose(0, 1).flatten(0, 1).contiguous()
    return named


_MELS = 128  # of AudioMAE


def mae_sizes(state: Mapping[str, Tensor], *, num_heads: int | None = None) -> dict[str, Any]:
    """The arguments of `mae` for a file.

    Args:
        state: the file's state dict, in its own names.
        num_heads: heads; ``None`` means the published models' number.

    Raises:
        ValueError: if the image is not square.
    """
    named = from_mae(state)
    sizes, count = vit_sizes(named, num_heads=num_heads), named[_POSITIONS].shape[0]
    channels = named["patch_embed.proj.weight"].shape[1]
    p, q = sizes["patch"]
    rows = _MELS // p if channels == 1 else math.isqrt(count)
    require(count % rows == 0, "positions", count, "of a square image, or of 128 mel bins")
    size = (rows * p, count // rows * q)
    return sizes | {"size": size, "channels": channels, "final_norm": "norm.weight" in named}
