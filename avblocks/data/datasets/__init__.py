"""Data sets: each function lists the clips of one as a ``ClipSet``."""

from avblocks.data.datasets._scene import Scene as Scene
from avblocks.data.datasets._scene import SceneSpec as SceneSpec
from avblocks.data.datasets._scene import render as render
from avblocks.data.datasets.audioset import audioset as audioset
from avblocks.data.datasets.clipset import ClipSet as ClipSet
from avblocks.data.datasets.clipset import Item as Item
from avblocks.data.datasets.folder import folder as folder
from avblocks.data.datasets.scenes import scenes as scenes
from avblocks.data.datasets.vggsound import vggsound as vggsound
