"""MAE and AudioMAE: complete ViTs, with class token, norm and the positions of the file."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from avblocks.builder import builder
from avblocks.nn.block import Block
from avblocks.nn.norm import layer_norm
from avblocks.nn.patch import PatchEmbed
from avblocks.nn.position import LearnedPosition, SinCosPosition
from avblocks.nn.sincos import fixed_grid, sincos_position
from avblocks.nn.vit import ViT
from avblocks.shapes import grid_of, require, sides
from avblocks.zoo.eat import frames_first_position
from avblocks.zoo.names import vit_encoder, vit_names, vit_sizes

_PREFIXES = ("vit.",)
_POSITIONS, _KERNEL = "pos_embed.table", "patch_embed.proj.weight"
_MELS = 128  # mel bins of AudioMAE


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
    learned_position: bool = False,
    drop_path: float = 0.0,
    norm_eps: float = 1e-6,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> ViT:
    """Build the encoder of MAE with its class token; with one channel, that of AudioMAE.

    Args:
        dim: width of a token.
        depth: number of blocks.
        num_heads: heads of each block.
        size: usual side of the image, (height, width), or (mel bins, frames).
        patch: side of a patch, or its sides.
        channels: channels of the input.
        mlp_ratio: hidden width of the MLPs as a multiple of ``dim``.
        final_norm: whether a norm follows the blocks; fine-tuned files normalize the mean instead.
        learned_position: a learned table, as in fine-tuned files, instead of fixed positions.
        drop_path: stochastic depth.
        norm_eps: epsilon of the norms.
        device: device of the weights.
        dtype: data type of the weights.

    Raises:
        ValueError: if a number is out of range.

    Source: MAE (arXiv 2111.06377), AudioMAE (arXiv 2207.06405).

    Example:
        >>> mae(64, depth=1, num_heads=1, size=32)(torch.zeros(2, 3, 32, 32)).shape
        torch.Size([2, 5, 64])
    """
    size, patch = sides(size, axes=2, name="size"), sides(patch, axes=2, name="patch")
    numbers: dict[str, Any] = {"num_heads": num_heads, "mlp_ratio": mlp_ratio}
    numbers |= {"drop_path": drop_path, "norm_eps": norm_eps}
    grid, formula = grid_of(size, patch), _formula(channels)
    fixed = SinCosPosition(dim, grid=grid, formula=formula)
    return ViT(
        patch_embed=PatchEmbed(dim, patch=patch, channels=channels),
        pos_embed=LearnedPosition(dim, grid=grid) if learned_position else fixed,
        blocks=[Block(dim, **numbers) for _ in range(depth)],
        norm=layer_norm(dim, norm_eps=norm_eps) if final_norm else nn.Identity(),
        prefix_tokens=1,
    )


def from_mae(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert the encoder of a file of MAE or AudioMAE, or of a plain timm ViT.

    Spectrograms of AudioMAE are (frames, mel bins), so the axes of patches and positions are
    swapped. Fixed positions are dropped, since they are computed for any grid.
    """
    named = _whole(state)
    if _is_fixed(named):
        del named[_POSITIONS]
    return named


def mae_sizes(
    state: Mapping[str, Tensor],
    *,
    num_heads: int | None = None,
    size: int | tuple[int, ...] | None = None,
) -> dict[str, Any]:
    """Return the arguments of `mae` for a file.

    Args:
        state: state dict of the file, with its original names.
        num_heads: heads; ``None`` means the number of the published models.
        size: side of the image, or (height, width); ``None`` means what the positions show.

    Raises:
        ValueError: if the positions are learned, and not of this size, or without one not of a
            square image or of 128 mel bins.
    """
    named = _whole(state)
    sizes, channels = vit_sizes(named, num_heads=num_heads), named[_KERNEL].shape[1]
    if size is None:
        grid = _grid(named)
        size = tuple(n * p for n, p in zip(grid, sizes["patch"], strict=True))
    else:
        size = sides(size, axes=2, name="size")
        count, fits = named[_POSITIONS].shape[0], math.prod(grid_of(size, sizes["patch"]))
        require(_is_fixed(named) or count == fits, "positions", count, f"the {fits} of {size}")
    return sizes | {
        "size": size,
        "channels": channels,
        "final_norm": "norm.weight" in named,
        "learned_position": not _is_fixed(named),
    }


def _whole(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    named = vit_encoder(vit_names(state, prefixes=_PREFIXES), "cls_token", with_position=1)
    if named[_KERNEL].shape[1] == 1:
        table = named[_POSITIONS]
        named[_KERNEL] = named[_KERNEL].transpose(2, 3).contiguous()
        frames, rows = fixed_grid(table) or _usual_grid(named)[::-1]
        table = table.unflatten(0, (frames, rows)).transpose(0, 1)
        named[_POSITIONS] = table.flatten(0, 1).contiguous()
    return named


def _grid(named: Mapping[str, Tensor]) -> tuple[int, int]:
    """Return the rows and columns of patches, by the positions or as usual."""
    formula = _formula(named[_KERNEL].shape[1])
    return fixed_grid(named[_POSITIONS], formula) or _usual_grid(named)


def _usual_grid(named: Mapping[str, Tensor]) -> tuple[int, int]:
    """Return the grid of a square image, or of the 128 mel bins of AudioMAE."""
    count, (channels, height) = named[_POSITIONS].shape[0], named[_KERNEL].shape[1:3]
    rows = _MELS // height if channels == 1 else math.isqrt(count)
    fits = count % rows == 0 if channels == 1 else rows**2 == count
    require(fits, "positions", count, "of a square image and a class token, or of 128 mel bins")
    return rows, count // rows


def _is_fixed(named: Mapping[str, Tensor]) -> bool:
    return fixed_grid(named[_POSITIONS], _formula(named[_KERNEL].shape[1])) is not None


def _formula(channels: int) -> Callable[[int, tuple[int, ...]], Tensor]:
    return frames_first_position if channels == 1 else sincos_position
