"""Builders: numbers in, models out, with the paper's values as defaults."""

import math
from collections.abc import Collection
from functools import partial
from typing import Literal, get_args

from avblocks.builder import builder
from avblocks.decoder import Decoder
from avblocks.encoder import AVEncoder
from avblocks.fusion.block import FusionBlock
from avblocks.fusion.dense import DenseFusion
from avblocks.fusion.factorized import FactorizedFusion, require_num_tokens
from avblocks.fusion.token import TokenFusion
from avblocks.mae import AVMAE
from avblocks.nn.vit import ViT, vit
from avblocks.shapes import require, sides

FusionName = Literal["token", "dense", "factorized"]
FusionLayers = Literal["all", "none"] | Collection[int]


def fusion_block(
    dim: int,
    *,
    fusion: FusionName = "factorized",
    num_heads: int = 12,
    num_tokens: tuple[int, int, int] = (16, 8, 8),
    attn_ratio: float = 0.25,
    mlp_ratio: float = 1.0,
    drop_path: float = 0.0,
) -> FusionBlock:
    """A fusion block around the fusion of that name.

    Args:
        dim: width of a token.
        fusion: which of the three interactions.
        num_heads: heads of the interaction.
        num_tokens: fusion and aggregation tokens; only the factorized fusion tells them apart.
        attn_ratio: width of the interaction's attention as a share of ``dim``.
        mlp_ratio: hidden width of the block's MLP as a multiple of ``dim``.
        drop_path: stochastic depth.

    Raises:
        ValueError: if the name is unknown or a number impossible.
    """
    _require_fusion(fusion, num_tokens)
    if fusion == "factorized":
        interaction = FactorizedFusion(
            dim, num_heads=num_heads, num_tokens=num_tokens, attn_ratio=attn_ratio
        )
    else:
        plain = TokenFusion if fusion == "token" else DenseFusion
        interaction = plain(dim, num_heads=num_heads, attn_ratio=attn_ratio)
    return FusionBlock(dim, interaction=interaction, mlp_ratio=mlp_ratio, drop_path=drop_path)


def _require_fusion(fusion: str, num_tokens: tuple[int, int, int]) -> None:
    require(fusion in get_args(FusionName), "fusion", fusion, f"one of {get_args(FusionName)}")
    require_num_tokens(num_tokens)


@builder
def av_vit(
    dim: int,
    *,
    depth: int | tuple[int, int],
    num_heads: int,
    image_size: int | tuple[int, ...] = 224,
    audio_size: tuple[int, int] = (128, 192),
    patch: int = 16,
    fusion: FusionName = "factorized",
    fusion_layers: FusionLayers = "all",
    num_tokens: tuple[int, int, int] = (16, 8, 8),
    attn_ratio: float = 0.25,
    mlp_ratio: float = 1.0,
    drop_path: float = 0.0,
) -> AVEncoder:
    """An early-fusion encoder of two ViTs of one width.

    Args:
        dim: width of a token.
        depth: blocks of both ViTs, or of the image's and of the audio's.
        num_heads: heads of each block and of the fusion.
        image_size: usual side of the image, or (height, width).
        audio_size: usual (mel bins, frames) of the spectrogram.
        patch: side of a patch of either.
        fusion: which of the three interactions.
        fusion_layers: ``"all"``, ``"none"``, or the indices of the layers with fusion.
        num_tokens: fusion, image aggregation and audio aggregation tokens.
        attn_ratio: width of the interaction's attention as a share of ``dim`` (AudioSet: 1.0).
        mlp_ratio: hidden width of the fusion blocks' MLPs as a multiple of ``dim`` (AudioSet: 4.0).
        drop_path: stochastic depth of all blocks.

    Raises:
        ValueError: if a number is impossible, a size no multiple of the patch, a layer not there.

    Example:
        >>> encoder = av_vit(64, depth=4, num_heads=4, fusion="dense", fusion_layers=[1, 3])
        >>> sorted(encoder.fusion_blocks)
        ['1', '3']
    """
    _require_fusion(fusion, num_tokens)
    image_depth, audio_depth = sides(depth, axes=2, name="depth")
    layers = _layers(fusion_layers, depth=max(image_depth, audio_depth))
    stream = partial(vit, dim, num_heads=num_heads, patch=patch, drop_path=drop_path)
    block = partial(
        fusion_block,
        dim,
        fusion=fusion,
        num_heads=num_heads,
        num_tokens=num_tokens,
        attn_ratio=attn_ratio,
        mlp_ratio=mlp_ratio,
        drop_path=drop_path,
    )
    return AVEncoder(
        image=stream(depth=image_depth, size=image_size, channels=3),
        audio=stream(depth=audio_depth, size=audio_size, channels=1),
        fusion=[block() if fused else None for fused in layers],
        num_tokens=sum(num_tokens),
    )


def _layers(fusion_layers: FusionLayers, *, depth: int) -> list[bool]:
    takes = f"'all', 'none' or layer indices in [0, {depth})"
    every = {"all": range(depth), "none": ()}
    layers = every.get(fusion_layers) if isinstance(fusion_layers, str) else fusion_layers
    fits = isinstance(layers, Collection) and all(
        isinstance(i, int) and 0 <= i < depth for i in layers
    )
    require(fits, "fusion_layers", fusion_layers, takes)
    return [layer in (layers or ()) for layer in range(depth)]


@builder
def av_mae(
    encoder: AVEncoder,
    *,
    dim: int = 512,
    depth: int = 8,
    num_heads: int = 16,
    normalize_targets: bool = True,
    learned_position: bool = False,
) -> AVMAE:
    """A masked autoencoder around an encoder, with a decoder for each modality.

    Args:
        encoder: the encoder that is trained.
        dim: width of the decoders.
        depth: blocks of each decoder.
        num_heads: heads of each decoder block.
        normalize_targets: normalize each target patch.
        learned_position: train the decoders' positions, see `Decoder`.

    Raises:
        ValueError: if a number is impossible.
    """
    takes = "true or false"
    require(isinstance(normalize_targets, bool), "normalize_targets", normalize_targets, takes)
    require(isinstance(learned_position, bool), "learned_position", learned_position, takes)

    def decoder(stream: ViT) -> Decoder:
        return Decoder(
            encoder.image.dim,
            grid=stream.pos_embed.grid,
            patch_values=math.prod(stream.patch) * stream.patch_embed.channels,
            dim=dim,
            depth=depth,
            num_heads=num_heads,
            learned_position=learned_position,
        )

    return AVMAE(
        encoder,
        image_decoder=decoder(encoder.image),
        audio_decoder=decoder(encoder.audio),
        normalize_targets=normalize_targets,
    )


av_vit_tiny = partial(av_vit, 192, depth=12, num_heads=3)
"""Two ViT-Ti/16; takes the other arguments of `av_vit`."""

av_vit_small = partial(av_vit, 384, depth=12, num_heads=6)
"""Two ViT-S/16; takes the other arguments of `av_vit`."""

av_vit_base = partial(av_vit, 768, depth=12, num_heads=12)
"""Two ViT-B/16, the paper's encoder; takes the other arguments of `av_vit`."""

av_vit_large = partial(av_vit, 1024, depth=24, num_heads=16)
"""Two ViT-L/16; takes the other arguments of `av_vit`."""

av_vit_huge = partial(av_vit, 1280, depth=32, num_heads=16, patch=14, audio_size=(126, 196))
"""Two ViT-H/14 over spectrograms of (126, 196); takes the other arguments of `av_vit`."""
