"""Other people's models from our blocks, a file each, with the names of their published files."""

from avblocks.checkpoint.pretrained import register_encoder as _register
from avblocks.zoo.ast import ast as ast
from avblocks.zoo.ast import ast_sizes as ast_sizes
from avblocks.zoo.ast import distilled_mean as distilled_mean
from avblocks.zoo.ast import from_ast as from_ast
from avblocks.zoo.cavmae import CAVMAE as CAVMAE
from avblocks.zoo.cavmae import CAVMAEClassifier as CAVMAEClassifier
from avblocks.zoo.cavmae import cavmae_encoder as cavmae_encoder
from avblocks.zoo.cavmae_names import cavmae as cavmae
from avblocks.zoo.cavmae_names import cavmae_classifier as cavmae_classifier
from avblocks.zoo.cavmae_names import from_cavmae as from_cavmae
from avblocks.zoo.cavmae_sync import cavmae_sync_encoder as cavmae_sync_encoder
from avblocks.zoo.cavmae_sync import from_cavmae_sync as from_cavmae_sync
from avblocks.zoo.cavmae_sync import retrieval_features as retrieval_features
from avblocks.zoo.crossmae import CrossMAE as CrossMAE
from avblocks.zoo.crossmae import crossmae as crossmae
from avblocks.zoo.crossmae import from_crossmae as from_crossmae
from avblocks.zoo.dinov2 import dinov2 as dinov2
from avblocks.zoo.dinov2 import dinov2_sizes as dinov2_sizes
from avblocks.zoo.dinov2 import from_dinov2 as from_dinov2
from avblocks.zoo.door import Loaded as Loaded
from avblocks.zoo.door import load as load
from avblocks.zoo.eat import eat as eat
from avblocks.zoo.eat import eat_sizes as eat_sizes
from avblocks.zoo.eat import from_eat as from_eat
from avblocks.zoo.mae import mae as mae
from avblocks.zoo.mbt import MBT as MBT
from avblocks.zoo.mbt import class_mean as class_mean
from avblocks.zoo.mbt import mbt as mbt
from avblocks.zoo.mbt_file import from_mbt as from_mbt
from avblocks.zoo.mbt_file import mbt_sizes as mbt_sizes
from avblocks.zoo.videomae import from_videomae as from_videomae
from avblocks.zoo.videomae import videomae as videomae
from avblocks.zoo.videomae import videomae_sizes as videomae_sizes
from avblocks.zoo.videomae_mae import VideoMAE as VideoMAE
from avblocks.zoo.videomae_mae import from_videomae_mae as from_videomae_mae
from avblocks.zoo.videomae_mae import videomae_mae as videomae_mae
from avblocks.zoo.videomae_mae import videomae_mae_sizes as videomae_mae_sizes

for _builder in (cavmae_encoder, cavmae_sync_encoder):
    _register(_builder)
