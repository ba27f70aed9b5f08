"""EAT (Chen et al. 2024), SSLAM and the like: audio encoders of data2vec 2's post-norm blocks."""

import re
from collections.abc import Mapping
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from avblocks.builder import builder
from avblocks.nn.block import Block
from avblocks.nn.norm import layer_norm
from avblocks.nn.older import split_qkv
from avblocks.nn.patch import PatchEmbed
from avblocks.nn.position import SinCosPosition
from avblocks.nn.sincos import sincos_position
from avblocks.nn.vit import ViT
from avblocks.shapes import grid_of, require, sides
from avblocks.zoo.names import depth_of, vit_sizes

_PREFIX = re.compile(r"^(model\.)?(modality_encoders\.IMAGE\.)?")
_OURS = {
    "local_encoder.": "patch_embed.",
    "extra_tokens": "prefix_tokens",
    "context_encoder.norm.": "norm_pre.",
    "pre_norm.": "norm_pre.",
}


@builder
def eat(
    dim: int = 768,
    *,
    depth: int = 12,
    num_heads: int = 12,
    size: int | tuple[int, ...] = (128, 1024),
    patch: int | tuple[int, ...] = 16,
    mlp_ratio: float = 4.0,
    drop_path: float = 0.0,
    norm_eps: float = 1e-6,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> ViT:
    """Build the encoder of EAT: a ViT of post-norm blocks over spectrograms, with a class token.

    Spectrograms are (mel bins, frames), as for all audio streams. In the code of the authors, the
    axes are swapped, so its tokens are in another order.

    Args:
        dim: width of a token.
        depth: number of blocks.
        num_heads: heads of each block.
        size: usual (mel bins, frames) of the spectrogram; positions are computed for any.
        patch: side of a patch, or its (mel bins, frames).
        mlp_ratio: hidden width of the MLPs as a multiple of ``dim``.
        drop_path: stochastic depth.
        norm_eps: epsilon of the norms.
        device: device of the weights.
        dtype: data type of the weights.

    Raises:
        ValueError: if a number is out of range.

    Source: arXiv 2401.03497; ``models`` of cwx-worst-one/EAT.

    Example:
        >>> model = eat(64, depth=1, num_heads=1, size=(32, 64))
        >>> model(torch.zeros(2, 1, 32, 64)).shape
        torch.Size([2, 9, 64])
    """
    size, patch = sides(size, axes=2, name="size"), sides(patch, axes=2, name="patch")
    numbers = {"num_heads": num_heads, "mlp_ratio": mlp_ratio, "norm_eps": norm_eps}
    return ViT(
        patch_embed=PatchEmbed(dim, patch=patch, channels=1),
        pos_embed=SinCosPosition(dim, grid=grid_of(size, patch), formula=frames_first_position),
        blocks=[Block(dim, **numbers, drop_path=drop_path, post_norm=True) for _ in range(depth)],
        norm=nn.Identity(),
        prefix_tokens=1,
        norm_pre=layer_norm(dim, norm_eps=norm_eps),
    )


def frames_first_position(dim: int, grid: tuple[int, ...]) -> Float[Tensor, "n d"]:
    """`sincos_position` of a grid (mel bins, frames) whose rows are the frames."""
    mels, frames = grid
    return rearrange(sincos_position(dim, (frames, mels)), "(t m) d -> (m t) d", m=mels)


def from_eat(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert the encoder of a pre-trained or fine-tuned file.

    The decoder, the teacher, a classifier and the fixed positions are dropped.

    Raises:
        ValueError: if the attention in the file has position biases, which EAT does not have.
    """
    biased = [name for name in state if "alibi" in name]
    require(not biased, "attention", biased, "without position biases (ALiBi)")
    stripped = {_PREFIX.sub("", name): x for name, x in state.items()}
    first = "context_encoder.blocks."
    count = depth_of(stripped, blocks=first) if any(n.startswith(first) for n in stripped) else 0
    named = {_renamed(name, count): x for name, x in stripped.items()}
    ours = ("patch_embed.", "prefix_tokens", "norm_pre.", "blocks.")
    kept = split_qkv({name: x for name, x in named.items() if name.startswith(ours)})
    kernel = "patch_embed.proj.weight"
    return kept | {kernel: kept[kernel].transpose(2, 3).contiguous()}


def eat_sizes(
    state: Mapping[str, Tensor],
    *,
    size: tuple[int, int] = (128, 1024),
    num_heads: int | None = None,
) -> dict[str, Any]:
    """Return the arguments of `eat` for a file.

    Args:
        state: state dict of the file, with its original names.
        size: default (mel bins, frames), which are not in the file; other sizes work as well.
        num_heads: heads; ``None`` means heads of width 64, as published.
    """
    return vit_sizes(from_eat(state), num_heads=num_heads) | {"size": size}


def _renamed(name: str, count: int) -> str:
    """Convert a name; ``count`` blocks of the modality come before those of the model."""
    for theirs, ours in _OURS.items():
        if name.startswith(theirs):
            return ours + name.removeprefix(theirs)
    if name.startswith("blocks."):
        _, number, rest = name.split(".", 2)
        return f"blocks.{int(number) + count}.{rest}"
    return name.removeprefix("context_encoder.")
