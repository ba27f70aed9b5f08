"""Loading of published weights, and saving and loading of models and runs."""

from avblocks.checkpoint.encoder import from_encoder as from_encoder
from avblocks.checkpoint.encoder import load_encoder as load_encoder
from avblocks.checkpoint.folder import read_config as read_config
from avblocks.checkpoint.from_classifier import (
    from_deepavfusion_classifier as from_deepavfusion_classifier,
)
from avblocks.checkpoint.from_deepavfusion import from_deepavfusion as from_deepavfusion
from avblocks.checkpoint.from_run import from_run as from_run
from avblocks.checkpoint.from_segmenter import (
    from_deepavfusion_segmenter as from_deepavfusion_segmenter,
)
from avblocks.checkpoint.from_separator import (
    from_deepavfusion_separator as from_deepavfusion_separator,
)
from avblocks.checkpoint.from_vit import from_audiomae as from_audiomae
from avblocks.checkpoint.from_vit import from_mae as from_mae
from avblocks.checkpoint.from_vit import from_timm as from_timm
from avblocks.checkpoint.load import load_weights as load_weights
from avblocks.checkpoint.pretrained import Pretrained as Pretrained
from avblocks.checkpoint.pretrained import from_pretrained as from_pretrained
from avblocks.checkpoint.pretrained import mae_from_pretrained as mae_from_pretrained
from avblocks.checkpoint.pretrained import save_pretrained as save_pretrained
from avblocks.checkpoint.read import State as State
from avblocks.checkpoint.read import read_state as read_state
from avblocks.checkpoint.report import Converted as Converted
from avblocks.checkpoint.report import LoadReport as LoadReport
