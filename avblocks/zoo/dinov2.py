"""DINOv2, with registers (Darcet et al. 2024) or without (Oquab et al. 2024)."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from avblocks.builder import builder
from avblocks.nn.block import Block
from avblocks.nn.mlp import Mlp, SwiGLU
from avblocks.nn.norm import layer_norm
from avblocks.nn.patch import PatchEmbed
from avblocks.nn.position import LearnedPosition
from avblocks.nn.scale import LayerScale
from avblocks.nn.vit import ViT
from avblocks.shapes import grid_of, require, sides
from avblocks.zoo.names import vit_encoder, vit_names, vit_sizes

_PREFIXES = ("dinov2_with_registers.", "dinov2.")


@builder
def dinov2(
    dim: int = 768,
    *,
    depth: int = 12,
    num_heads: int = 12,
    size: int | tuple[int, ...] = 518,
    patch: int | tuple[int, ...] = 14,
    registers: int = 4,
    mlp_ratio: float = 4.0,
    swiglu: bool = False,
    drop_path: float = 0.0,
    norm_eps: float = 1e-6,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> ViT:
    """Build DINOv2: a ViT with layer scale, a class token and registers, for images of any size.

    With registers, positions are interpolated with antialiasing, as in the code of the authors.
    Without registers, they are interpolated as in transformers; the code of the authors then
    stretches them by an additional tenth of a patch.

    Args:
        dim: width of a token.
        depth: number of blocks.
        num_heads: heads of each block.
        size: usual side of the image, or (height, width).
        patch: side of a patch, or its sides.
        registers: number of registers.
        mlp_ratio: hidden width of the MLPs as a multiple of ``dim``.
        swiglu: gated MLPs (the giant model).
        drop_path: stochastic depth.
        norm_eps: epsilon of the norms.
        device: device of the weights.
        dtype: data type of the weights.

    Raises:
        ValueError: if a number is out of range.

    Source: arXiv 2309.16588; ``Dinov2WithRegistersModel`` of transformers 5.24.0.

    Example:
        >>> model = dinov2(64, depth=1, num_heads=1, size=42)
        >>> model(torch.zeros(1, 3, 70, 56)).shape
        torch.Size([1, 25, 64])
    """
    size, patch = sides(size, axes=2, name="size"), sides(patch, axes=2, name="patch")
    grid, mlp = grid_of(size, patch), SwiGLU if swiglu else Mlp
    return ViT(
        patch_embed=PatchEmbed(dim, patch=patch),
        pos_embed=LearnedPosition(dim, grid=grid, antialias=registers > 0),
        blocks=[
            Block(
                dim,
                num_heads=num_heads,
                drop_path=drop_path,
                norm_eps=norm_eps,
                mlp=mlp(dim, ratio=mlp_ratio),
                ls1=LayerScale(dim),
                ls2=LayerScale(dim),
            )
            for _ in range(depth)
        ],
        norm=layer_norm(dim, norm_eps=norm_eps),
        prefix_tokens=1 + registers,
    )


def from_dinov2(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert the tensors of DINOv2, with names of transformers, timm or its authors.

    The mask token, which is only used in training, and a classifier are dropped. Gates of an MLP
    are taken as SiLU's, as published; in a ViT of timm 1.0.31 with ``mlp_layer=SwiGLUPacked`` they
    are GELU's, unless ``act_layer`` says otherwise, which the file does not show.
    """
    named = vit_names(state, prefixes=_PREFIXES)
    tokens = [name for name in ("cls_token", "register_tokens") if name in named]
    count = named["pos_embed"].shape[1]  # timm's files have the class token's in the token
    return _split_gates(vit_encoder(named, *tokens, with_position=0 if _is_square(count) else 1))


def dinov2_sizes(state: Mapping[str, Tensor], *, num_heads: int | None = None) -> dict[str, Any]:
    """Return the arguments of `dinov2` for a file.

    Args:
        state: state dict of the file, with its original names.
        num_heads: heads; ``None`` means the number of the published models.

    Raises:
        ValueError: if the positions in the file are not those of a square.
    """
    named = from_dinov2(state)
    sizes, count = vit_sizes(named, num_heads=num_heads), named["pos_embed.table"].shape[0]
    require(_is_square(count), "positions", count, "a square number of patches, as published")
    return sizes | {
        "size": tuple(math.isqrt(count) * side for side in sizes["patch"]),
        "registers": named["prefix_tokens"].shape[1] - 1,
        "swiglu": "blocks.0.mlp.fc1_g.weight" in named,
    }


def _split_gates(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Split the joint first layer of gated MLPs, which is twice as wide as the second, into two."""
    parts = {}
    for name, value in state.items():
        stem, _, kind = name.rpartition("fc1.")
        if stem and value.shape[0] == 2 * state[f"{stem}fc2.weight"].shape[1]:
            gate, x = value.chunk(2)
            parts |= {f"{stem}fc1_g.{kind}": gate.clone(), f"{stem}fc1_x.{kind}": x.clone()}
        else:
            parts[name] = value
    return parts


def _is_square(count: int) -> bool:
    return math.isqrt(count) ** 2 == count
