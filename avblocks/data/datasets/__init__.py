"""Readers of data sets: each function lists the clips of one data set as a ``ClipSet``."""

from typing import Any
from warnings import warn

from avblocks.data.datasets.audioset import audioset as audioset
from avblocks.data.datasets.avsbench import avsbench_ms3 as avsbench_ms3
from avblocks.data.datasets.avsbench import avsbench_s4 as avsbench_s4
from avblocks.data.datasets.avss import avsbench_avss as avsbench_avss
from avblocks.data.datasets.clipset import Box as Box
from avblocks.data.datasets.clipset import ClipSet as ClipSet
from avblocks.data.datasets.clipset import Item as Item
from avblocks.data.datasets.clipset import StillImage as StillImage
from avblocks.data.datasets.flickr import flickr_soundnet as flickr_soundnet
from avblocks.data.datasets.folder import folder as folder
from avblocks.data.datasets.holdout import hold_out as hold_out
from avblocks.data.datasets.music import music as music
from avblocks.data.datasets.music_duet import music_duet as music_duet
from avblocks.data.datasets.own import class_folder as class_folder
from avblocks.data.datasets.own import plain_folder as plain_folder
from avblocks.data.datasets.own_boxes import box_folder as box_folder
from avblocks.data.datasets.own_masks import mask_folder as mask_folder
from avblocks.data.datasets.pairs import Pair as Pair
from avblocks.data.datasets.pairs import PairSet as PairSet
from avblocks.data.datasets.pairs import pairs as pairs
from avblocks.data.datasets.plus_silent import flickr_plus_silent as flickr_plus_silent
from avblocks.data.datasets.plus_silent import vggss_plus_silent as vggss_plus_silent
from avblocks.data.datasets.ssl_align import is3 as is3
from avblocks.data.datasets.ssl_align import vpo_ms as vpo_ms
from avblocks.data.datasets.ssl_align import vpo_ss as vpo_ss
from avblocks.data.datasets.stills import stills as stills
from avblocks.data.datasets.subset import subset as subset
from avblocks.data.datasets.vggsound import vggsound as vggsound
from avblocks.data.datasets.vggsound_music import vggsound_music as vggsound_music
from avblocks.data.datasets.vggsounder import vggsounder as vggsounder
from avblocks.data.datasets.vggss import vggss as vggss

# Names until 0.1, for one release.
_OLDER = {"Picture": "StillImage"}


def __getattr__(name: str) -> Any:
    if name not in _OLDER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    warn(f"{name} is now {_OLDER[name]}", DeprecationWarning, stacklevel=2)
    return globals()[_OLDER[name]]
