"""Published weights in, a load report out."""

from avblocks.checkpoint.from_deepavfusion import from_deepavfusion as from_deepavfusion
from avblocks.checkpoint.from_run import from_run as from_run
from avblocks.checkpoint.from_vit import from_audiomae as from_audiomae
from avblocks.checkpoint.from_vit import from_mae as from_mae
from avblocks.checkpoint.from_vit import from_timm as from_timm
from avblocks.checkpoint.load import Converted as Converted
from avblocks.checkpoint.load import LoadReport as LoadReport
from avblocks.checkpoint.load import load_weights as load_weights
from avblocks.checkpoint.read import State as State
from avblocks.checkpoint.read import read_state as read_state
