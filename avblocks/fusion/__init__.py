"""Fusion: interactions of fusion tokens with two modalities."""

from avblocks.fusion.attention import Attends as Attends
from avblocks.fusion.attention import FusionAttention as FusionAttention
from avblocks.fusion.block import Fusion as Fusion
from avblocks.fusion.block import FusionBlock as FusionBlock
from avblocks.fusion.dense import DenseFusion as DenseFusion
from avblocks.fusion.exchange import BottleneckLayer as BottleneckLayer
from avblocks.fusion.exchange import CrossLayer as CrossLayer
from avblocks.fusion.factorized import Aggregator as Aggregator
from avblocks.fusion.factorized import FactorizedFusion as FactorizedFusion
from avblocks.fusion.layer import FusionLayer as FusionLayer
from avblocks.fusion.token import TokenFusion as TokenFusion
