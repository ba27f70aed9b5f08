"""Encoder of VideoMAE (Tong et al. 2022)."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from avblocks.builder import builder
from avblocks.nn.block import Block
from avblocks.nn.norm import layer_norm
from avblocks.nn.patch import PatchEmbed
from avblocks.nn.position import SinCosPosition
from avblocks.nn.sincos import sequence_position
from avblocks.nn.vit import ViT
from avblocks.shapes import grid_of, sides
from avblocks.zoo.names import vit_encoder, vit_names, vit_sizes

PREFIXES = ("videomae.", "encoder.")


@builder
def videomae(
    dim: int = 768,
    *,
    depth: int = 12,
    num_heads: int = 12,
    size: int | tuple[int, ...] = (16, 224, 224),
    patch: int | tuple[int, ...] = (2, 16, 16),
    mlp_ratio: float = 4.0,
    drop_path: float = 0.0,
    final_norm: bool = True,
    norm_eps: float = 1e-12,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> ViT:
    """Build the encoder of VideoMAE: a ViT over tubelets with positions as of a text sequence.

    Args:
        dim: width of a token.
        depth: number of blocks.
        num_heads: heads of each block.
        size: usual (frames, height, width) of the video.
        patch: (frames, height, width) of a patch.
        mlp_ratio: hidden width of the MLPs as a multiple of ``dim``.
        drop_path: stochastic depth.
        final_norm: whether a norm follows the blocks; fine-tuned models have none.
        norm_eps: epsilon of the norms: transformers' 1e-12; the authors' code has 1e-6.
        device: device of the weights.
        dtype: data type of the weights.

    Raises:
        ValueError: if a number is out of range.

    Source: arXiv 2203.12602; ``VideoMAEModel`` of transformers 5.24.0.

    Example:
        >>> model = videomae(64, depth=1, num_heads=1, size=(4, 32, 32))
        >>> model(torch.zeros(1, 3, 4, 32, 32)).shape
        torch.Size([1, 8, 64])
    """
    size, patch = sides(size, axes=3, name="size"), sides(patch, axes=3, name="patch")
    numbers = {"num_heads": num_heads, "mlp_ratio": mlp_ratio, "norm_eps": norm_eps}
    return ViT(
        patch_embed=PatchEmbed(dim, patch=patch),
        pos_embed=SinCosPosition(dim, grid=grid_of(size, patch), formula=sequence_position),
        blocks=[Block(dim, **numbers, drop_path=drop_path) for _ in range(depth)],
        norm=layer_norm(dim, norm_eps=norm_eps) if final_norm else nn.Identity(),
    )


def from_videomae(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert the encoder of VideoMAE, with names of transformers or of its authors.

    A decoder or a classifier is dropped. Keys have no bias in VideoMAE; they get a zero bias, which
    has no effect.
    """
    return vit_encoder(vit_names(state, prefixes=PREFIXES))


def videomae_sizes(
    state: Mapping[str, Tensor],
    *,
    size: tuple[int, ...] = (16, 224, 224),
    num_heads: int | None = None,
) -> dict[str, Any]:
    """Return the arguments of `videomae` for a file.

    Args:
        state: state dict of the file, with its original names.
        size: default (frames, height, width), which are not in the file.
        num_heads: heads; ``None`` means the number of the published models.
    """
    named = from_videomae(state)
    sizes = vit_sizes(named, num_heads=num_heads)
    return sizes | {"size": size, "final_norm": "norm.weight" in named}
