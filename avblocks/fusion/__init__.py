"""Fusion: interactions of fusion tokens with two modalities."""

from avblocks.fusion.block import Attends as Attends
from avblocks.fusion.block import Fusion as Fusion
from avblocks.fusion.block import FusionAttention as FusionAttention
from avblocks.fusion.block import FusionBlock as FusionBlock
from avblocks.fusion.block import Interaction as Interaction
from avblocks.fusion.block import Reads as Reads
from avblocks.fusion.dense import DenseFusion as DenseFusion
from avblocks.fusion.exchange import BottleneckLayer as BottleneckLayer
from avblocks.fusion.exchange import CrossLayer as CrossLayer
from avblocks.fusion.factorized import Aggregator as Aggregator
from avblocks.fusion.factorized import FactorizedFusion as FactorizedFusion
from avblocks.fusion.layer import FusionLayer as FusionLayer
from avblocks.fusion.token import TokenFusion as TokenFusion
