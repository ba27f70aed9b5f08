"""Other people's models from our blocks, a file each, with the names of their published files."""

from avblocks.zoo.ast import ast as ast
from avblocks.zoo.ast import ast_sizes as ast_sizes
from avblocks.zoo.ast import distilled_mean as distilled_mean
from avblocks.zoo.ast import from_ast as from_ast
from avblocks.zoo.dinov2 import dinov2 as dinov2
from avblocks.zoo.dinov2 import dinov2_sizes as dinov2_sizes
from avblocks.zoo.dinov2 import from_dinov2 as from_dinov2
from avblocks.zoo.eat import eat as eat
from avblocks.zoo.eat import eat_sizes as eat_sizes
from avblocks.zoo.eat import from_eat as from_eat
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
