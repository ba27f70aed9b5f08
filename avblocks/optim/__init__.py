"""Optimization: parameter groups, schedules, LARS."""

from avblocks.optim.groups import layer_decay_groups as layer_decay_groups
from avblocks.optim.groups import param_groups as param_groups
from avblocks.optim.lars import LARS as LARS
from avblocks.optim.schedule import cosine_lr as cosine_lr
from avblocks.optim.schedule import decayed_rates as decayed_rates
from avblocks.optim.schedule import group_rates as group_rates
from avblocks.optim.schedule import pretrained_multiplier as pretrained_multiplier
from avblocks.optim.schedule import scaled_lr as scaled_lr
