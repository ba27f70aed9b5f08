"""CAV-MAE's encoder: two towers and joint layers."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from avblocks.builder import builder
from avblocks.encoder import AVEncoder
from avblocks.fusion.layer import FusionLayer
from avblocks.nn.block import Block
from avblocks.nn.patch import PatchEmbed
from avblocks.nn.vit import ViT
from avblocks.shapes import grid_of, sides
from avblocks.tokens import AVTokens
from avblocks.zoo.joint import JointLayer, JointNorm, ModalityPosition


def tower(
    dim: int,
    *,
    depth: int,
    num_heads: int,
    size: int | tuple[int, int],
    channels: int,
    patch: int = 16,
    mlp_ratio: float = 4.0,
    norm_eps: float = 1e-5,
    prefix_tokens: int = 0,
) -> ViT:
    """Build the blocks of one modality; the final norm follows the joint layers."""
    grid = grid_of(sides(size, axes=2, name="size"), (patch, patch))
    numbers: dict[str, Any] = {"num_heads": num_heads, "mlp_ratio": mlp_ratio, "norm_eps": norm_eps}
    return ViT(
        patch_embed=PatchEmbed(dim, patch=(patch, patch), channels=channels),
        pos_embed=ModalityPosition(dim, grid=grid),
        blocks=[Block(dim, **numbers) for _ in range(depth)],
        norm=nn.Identity(),
        prefix_tokens=prefix_tokens,
    )


@builder
def cavmae_encoder(
    dim: int = 768,
    *,
    depth: int = 11,
    joint_depth: int = 1,
    num_heads: int = 12,
    image_size: int | tuple[int, int] = 224,
    audio_size: tuple[int, int] = (128, 1024),
    patch: int = 16,
    mlp_ratio: float = 4.0,
    norm_eps: float = 1e-5,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> AVEncoder:
    """Build the encoder of CAV-MAE; with one modality, it computes retrieval features.

    Args:
        dim: width of a token.
        depth: blocks of each tower.
        joint_depth: joint layers after them.
        num_heads: heads of each block.
        image_size: side of the image, or (height, width).
        audio_size: (mel bins, frames) of the spectrogram.
        patch: side of a patch.
        mlp_ratio: hidden width of the MLPs as a multiple of ``dim``.
        norm_eps: epsilon of the norms.
        device: device of the weights.
        dtype: data type of the weights.

    Source: CAV-MAE (ICLR 2023, arXiv 2210.07839), ``YuanGongND/cav-mae``.

    Example:
        >>> import torch
        >>> encoder = cavmae_encoder(64, depth=1, num_heads=4, image_size=32, audio_size=(32, 48))
        >>> out = encoder(image=None, audio=torch.zeros(2, 1, 32, 48))
        >>> out.image, out.audio.shape
        (None, torch.Size([2, 6, 64]))
    """
    numbers: dict[str, Any] = {"num_heads": num_heads, "mlp_ratio": mlp_ratio, "norm_eps": norm_eps}
    streams: dict[str, Any] = numbers | {"depth": depth, "patch": patch}
    joint: list[FusionLayer] = [JointLayer(dim, **numbers) for _ in range(joint_depth)]
    return AVEncoder(
        image=tower(dim, size=image_size, channels=3, **streams),
        audio=tower(dim, size=audio_size, channels=1, **streams),
        fusion=[None] * depth + joint + [JointNorm(dim, norm_eps=norm_eps)],
        num_tokens=0,
    )


def first_joint(encoder: AVEncoder) -> int:
    """Index of the first joint layer."""
    return min(map(int, encoder.fusion_blocks))


def run_layers(encoder: AVEncoder, tokens: AVTokens, layers: Sequence[int]) -> AVTokens:
    """Run the given layers of an encoder."""
    for layer in layers:
        tokens = encoder.layer(tokens, layer)
    return tokens
