"""Typed, composable PyTorch blocks for audio-visual transformers.

Set ``AVBLOCKS_TYPECHECK=1`` to check shapes and types in every call while you debug; this does not
work with ``torch.compile``.
"""

import os

if os.environ.get("AVBLOCKS_TYPECHECK") == "1":
    from jaxtyping import install_import_hook

    install_import_hook(
        "avblocks", "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))"
    )

from avblocks.build import (
    av_mae,
    av_vit,
    av_vit_base,
    av_vit_huge,
    av_vit_large,
    av_vit_small,
    av_vit_tiny,
    fusion_block,
)
from avblocks.decoder import Decoder
from avblocks.encoder import AVEncoder, AVTokens
from avblocks.fusion import (
    Aggregator,
    DenseFusion,
    FactorizedFusion,
    Fusion,
    FusionBlock,
    FusionLayer,
    TokenFusion,
)
from avblocks.mae import AVMAE, MAEOutput
from avblocks.nn import (
    Attention,
    BandMask,
    Block,
    BlockMask,
    CrossAttention,
    DropPath,
    LayerScale,
    LearnedPosition,
    Mask,
    Masker,
    Mlp,
    PatchEmbed,
    RandomMask,
    SinCosPosition,
    Stream,
    SwiGLU,
    TubeMask,
    ViT,
    patchify,
    resize_position,
    sincos_position,
    unpatchify,
    valid_until,
    vit,
    vit_base,
    vit_huge,
    vit_large,
    vit_small,
    vit_tiny,
)
from avblocks.nn.targets import masked_mse
from avblocks.reading import ReadingDecoder
from avblocks.reconstruction import Reconstruction, reconstruct
from avblocks.tokens import Valid

__all__ = [
    "AVMAE",
    "AVEncoder",
    "AVTokens",
    "Aggregator",
    "Attention",
    "BandMask",
    "Block",
    "BlockMask",
    "CrossAttention",
    "Decoder",
    "DenseFusion",
    "DropPath",
    "FactorizedFusion",
    "Fusion",
    "FusionBlock",
    "FusionLayer",
    "LayerScale",
    "LearnedPosition",
    "MAEOutput",
    "Mask",
    "Masker",
    "Mlp",
    "PatchEmbed",
    "RandomMask",
    "ReadingDecoder",
    "Reconstruction",
    "SinCosPosition",
    "Stream",
    "SwiGLU",
    "TokenFusion",
    "TubeMask",
    "Valid",
    "ViT",
    "av_mae",
    "av_vit",
    "av_vit_base",
    "av_vit_huge",
    "av_vit_large",
    "av_vit_small",
    "av_vit_tiny",
    "fusion_block",
    "masked_mse",
    "patchify",
    "reconstruct",
    "resize_position",
    "sincos_position",
    "unpatchify",
    "valid_until",
    "vit",
    "vit_base",
    "vit_huge",
    "vit_large",
    "vit_small",
    "vit_tiny",
]
__version__ = "0.2.0"
