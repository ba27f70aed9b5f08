"""Typed, composable PyTorch blocks for audio-visual transformers.

Set ``AVBLOCKS_TYPECHECK=1`` to have every call check shapes and types while you debug; it excludes
``torch.compile``.
"""

import os

if os.environ.get("AVBLOCKS_TYPECHECK") == "1":
    from jaxtyping import install_import_hook

    install_import_hook(
        "avblocks", "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))"
    )

from avblocks.build import av_mae as av_mae
from avblocks.build import av_vit as av_vit
from avblocks.build import av_vit_base as av_vit_base
from avblocks.build import av_vit_huge as av_vit_huge
from avblocks.build import av_vit_large as av_vit_large
from avblocks.build import av_vit_small as av_vit_small
from avblocks.build import av_vit_tiny as av_vit_tiny
from avblocks.build import fusion_block as fusion_block
from avblocks.decoder import Decoder as Decoder
from avblocks.encoder import AVEncoder as AVEncoder
from avblocks.encoder import AVTokens as AVTokens
from avblocks.fusion import Aggregator as Aggregator
from avblocks.fusion import DenseFusion as DenseFusion
from avblocks.fusion import FactorizedFusion as FactorizedFusion
from avblocks.fusion import Fusion as Fusion
from avblocks.fusion import FusionBlock as FusionBlock
from avblocks.fusion import FusionLayer as FusionLayer
from avblocks.fusion import TokenFusion as TokenFusion
from avblocks.mae import AVMAE as AVMAE
from avblocks.mae import MAEOutput as MAEOutput
from avblocks.nn import Attention as Attention
from avblocks.nn import BandMask as BandMask
from avblocks.nn import Block as Block
from avblocks.nn import BlockMask as BlockMask
from avblocks.nn import CrossAttention as CrossAttention
from avblocks.nn import DropPath as DropPath
from avblocks.nn import LayerScale as LayerScale
from avblocks.nn import LearnedPosition as LearnedPosition
from avblocks.nn import Mask as Mask
from avblocks.nn import Masker as Masker
from avblocks.nn import Mlp as Mlp
from avblocks.nn import PatchEmbed as PatchEmbed
from avblocks.nn import RandomMask as RandomMask
from avblocks.nn import SinCosPosition as SinCosPosition
from avblocks.nn import Stream as Stream
from avblocks.nn import SwiGLU as SwiGLU
from avblocks.nn import TubeMask as TubeMask
from avblocks.nn import ViT as ViT
from avblocks.nn import patchify as patchify
from avblocks.nn import resize_position as resize_position
from avblocks.nn import sincos_position as sincos_position
from avblocks.nn import unpatchify as unpatchify
from avblocks.nn import valid_until as valid_until
from avblocks.nn import vit as vit
from avblocks.nn import vit_base as vit_base
from avblocks.nn import vit_huge as vit_huge
from avblocks.nn import vit_large as vit_large
from avblocks.nn import vit_small as vit_small
from avblocks.nn import vit_tiny as vit_tiny
from avblocks.nn.targets import masked_mse as masked_mse
from avblocks.reading import ReadingDecoder as ReadingDecoder
from avblocks.reconstruction import Reconstruction as Reconstruction
from avblocks.reconstruction import reconstruct as reconstruct
from avblocks.tokens import Valid as Valid

__version__ = "0.1.0"
