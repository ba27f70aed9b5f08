"""Builders of models from numbers, with the values of the paper as defaults."""

from avblocks.build.encoder import av_vit as av_vit
from avblocks.build.encoder import fusion_block as fusion_block
from avblocks.build.mae import av_mae as av_mae
from avblocks.build.sizes import av_vit_base as av_vit_base
from avblocks.build.sizes import av_vit_huge as av_vit_huge
from avblocks.build.sizes import av_vit_large as av_vit_large
from avblocks.build.sizes import av_vit_small as av_vit_small
from avblocks.build.sizes import av_vit_tiny as av_vit_tiny
