"""AST, the Audio Spectrogram Transformer (Gong et al. 2021), and ViTs distilled as DeiT's are."""

from collections.abc import Mapping
from math import isqrt
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from avblocks.builder import builder
from avblocks.nn.block import Block
from avblocks.nn.norm import layer_norm
from avblocks.nn.patch import PatchEmbed
from avblocks.nn.position import LearnedPosition
from avblocks.nn.vit import ViT
from avblocks.shapes import require, sides, strided_grid
from avblocks.zoo.names import vit_encoder, vit_names, vit_sizes

_PREFIXES = ("audio_spectrogram_transformer.", "deit.", "v.")
_FRAMES = (1024, 128)  # of AudioSet and Speech Commands


@builder
def ast(
    dim: int = 768,
    *,
    depth: int = 12,
    num_heads: int = 12,
    size: int | tuple[int, ...] = (128, 1024),
    patch: int | tuple[int, ...] = 16,
    stride: int | tuple[int, ...] = 10,
    channels: int = 1,
    mlp_ratio: float = 4.0,
    drop_path: float = 0.0,
    norm_eps: float = 1e-12,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> ViT:
    """Build AST: a ViT over overlapping patches, with a class and a distillation token.

    It is an audio stream like any `ViT`. With ``stride`` equal to ``patch`` and 3 channels it is a
    distilled DeiT. The input of its classifier is `distilled_mean`.

    Args:
        dim: width of a token.
        depth: number of blocks.
        num_heads: heads of each block.
        size: usual (mel bins, frames) of the spectrogram.
        patch: side of a patch, or its (mel bins, frames).
        stride: steps from patch to patch, in (mel bins, frames).
        channels: channels of the input.
        mlp_ratio: hidden width of the MLPs as a multiple of ``dim``.
        drop_path: stochastic depth.
        norm_eps: epsilon of the norms: transformers' 1e-12; the authors' code has 1e-6.
        device: device of the weights.
        dtype: data type of the weights.

    Raises:
        ValueError: if a number is out of range.

    Source: arXiv 2104.01778; ``ASTModel`` of transformers 5.24.0.

    Example:
        >>> model = ast(64, depth=1, num_heads=1, size=(48, 56))
        >>> model(torch.zeros(2, 1, 48, 56)).shape
        torch.Size([2, 22, 64])
    """
    size, patch, stride = (
        sides(value, axes=2, name=name)
        for name, value in (("size", size), ("patch", patch), ("stride", stride))
    )
    numbers = {"num_heads": num_heads, "mlp_ratio": mlp_ratio}
    return ViT(
        patch_embed=PatchEmbed(dim, patch=patch, stride=stride, channels=channels),
        pos_embed=LearnedPosition(dim, grid=strided_grid(size, patch, stride=stride)),
        blocks=[
            Block(dim, **numbers, drop_path=drop_path, norm_eps=norm_eps) for _ in range(depth)
        ],
        norm=layer_norm(dim, norm_eps=norm_eps),
        prefix_tokens=2,
    )


def distilled_mean(tokens: Float[Tensor, "b n d"]) -> Float[Tensor, "b d"]:
    """Mean of the class and the distillation token, which are the first two."""
    return tokens[:, :2].mean(dim=1)


def from_ast(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert the tensors of AST, with names of transformers or of its authors.

    Only the encoder is converted; a classifier is dropped.
    """
    named = vit_names(state, prefixes=_PREFIXES)
    return vit_encoder(named, "cls_token", "dist_token", with_position=2)


def ast_sizes(
    state: Mapping[str, Tensor],
    *,
    mels: int = 128,
    frames: int | None = None,
    stride: int | tuple[int, ...] = 10,
    num_heads: int | None = None,
) -> dict[str, Any]:
    """Return the arguments of `ast` for a file.

    Args:
        state: state dict of the file, with its original names.
        mels: mel bins, which are not in the file; not used for images.
        frames: usual frames, likewise; ``None`` means the published 1024 or 128 if they have as
            many patches, or else the fewest that have.
        stride: steps from patch to patch, which are not in the file; not used for images.
        num_heads: heads; ``None`` means heads of width 64, as published.

    Raises:
        ValueError: if the positions in the file do not match the mel bins, frames and stride.
    """
    named = from_ast(state)
    sizes, count = vit_sizes(named, num_heads=num_heads), named["pos_embed.table"].shape[0]
    (height, width), channels = sizes["patch"], named["patch_embed.proj.weight"].shape[1]
    if channels == 3:  # DeiT: a square image of patches side by side
        require(isqrt(count) ** 2 == count, "positions", count, "a square number for an image")
        grid = {"size": (isqrt(count) * height, isqrt(count) * width), "stride": (height, width)}
        return sizes | grid | {"channels": channels, "norm_eps": 1e-6}
    down, along = sides(stride, axes=2, name="stride")
    rows = (mels - height) // down + 1
    needs = f"a multiple of the {rows} rows of {mels} mels and stride {stride}: give the file's own"
    require(rows > 0 and count % rows == 0, "positions", count, needs)
    fewest = (count // rows - 1) * along + width
    if frames is None:
        frames = next((n for n in _FRAMES if fewest <= n < fewest + along), fewest)
    fits = fewest <= frames < fewest + along
    require(fits, "frames", frames, f"{fewest} to {fewest + along - 1}, of as many patches")
    grid = {"size": (mels, frames), "stride": (down, along)}
    return sizes | grid | {"channels": channels}
