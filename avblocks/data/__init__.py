"""Audio-visual clips: read files, build data sets, collate batches, and prepare encoder inputs."""

from typing import Any
from warnings import warn

from avblocks.data.batch import AVBatch as AVBatch
from avblocks.data.batch import Skipped as Skipped
from avblocks.data.batch import collate as collate
from avblocks.data.clip import AVClip as AVClip
from avblocks.data.clip import ClipError as ClipError
from avblocks.data.clip import Frames as Frames
from avblocks.data.crop import crop_images as crop_images
from avblocks.data.crop import crop_masks as crop_masks
from avblocks.data.crop import mask_like as mask_like
from avblocks.data.crop import middle_part as middle_part
from avblocks.data.crop import random_part as random_part
from avblocks.data.crop import whole_square as whole_square
from avblocks.data.cutmix import CutMix as CutMix
from avblocks.data.dataset import ClipDataset as ClipDataset
from avblocks.data.dataset import TooManySkippedError as TooManySkippedError
from avblocks.data.format import ClipFormat as ClipFormat
from avblocks.data.frontend import FrontEnd as FrontEnd
from avblocks.data.groups import FixedGroups as FixedGroups
from avblocks.data.groups import Groups as Groups
from avblocks.data.groups import RandomGroups as RandomGroups
from avblocks.data.groups import mismatched_pairs as mismatched_pairs
from avblocks.data.groups import paired as paired
from avblocks.data.keyed import KeyedBatches as KeyedBatches
from avblocks.data.mismatch import AUDIO as AUDIO
from avblocks.data.mismatch import NEGATIVE as NEGATIVE
from avblocks.data.mismatch import white_noise as white_noise
from avblocks.data.mismatch import with_audio as with_audio
from avblocks.data.mismatch import with_negatives as with_negatives
from avblocks.data.mixture import Mixture as Mixture
from avblocks.data.mixture import MixtureDataset as MixtureDataset
from avblocks.data.mixture import mix as mix
from avblocks.data.mixture import swap as swap
from avblocks.data.mixup import Mixup as Mixup
from avblocks.data.mixup import smooth as smooth
from avblocks.data.read import read_clip as read_clip
from avblocks.data.skipped import SkippedFiles as SkippedFiles
from avblocks.data.times import window_times as window_times
from avblocks.data.transforms import Normalize as Normalize
from avblocks.data.transforms import apply_gain as apply_gain
from avblocks.data.transforms import flip_images as flip_images
from avblocks.data.transforms import jitter_color as jitter_color
from avblocks.data.write import write_clip as write_clip
from avblocks.data.write import write_image as write_image
from avblocks.data.write import write_wave as write_wave

# Names until 0.1, for one release.
_OLDER = {
    "whole_picture": "whole_square",
    "write_picture": "write_image",
}


def __getattr__(name: str) -> Any:
    if name not in _OLDER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    warn(f"{name} is now {_OLDER[name]}", DeprecationWarning, stacklevel=2)
    return globals()[_OLDER[name]]
