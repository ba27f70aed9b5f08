"""Training and test clips of synthetic scenes, which are made where they are missing."""

from dataclasses import replace
from pathlib import Path

from avblocks.data.datasets import ClipSet, avsbench_avss, vggss
from avblocks.data.scenes import (
    SceneSpec,
    composed,
    scenes,
    scenes_as_avsbench,
    scenes_as_vggss,
)
from avblocks.data.scenes.classes import Split
from avblocks.data.scenes.source import VERSION
from recipes.common.sets import CACHE

Counts = tuple[int, int]  # numbers of training and test scenes


def scenes_root(name: str = "scenes") -> Path:
    """Return the default folder of scenes."""
    return CACHE / f"scenes-{VERSION}{'-few-silent' if name == 'scene_boxes' else ''}"


def scene_set(name: str, root: Path, *, train: bool, counts: Counts) -> ClipSet:
    """List the training or test clips of scenes, or of composed scenes, in a folder."""
    split: Split = "train" if train else "test"
    if name.startswith("composed"):
        return _composed(name, root, split=split)
    # If silent objects are more frequent than sounding ones, the contrastive loss learns to locate
    # the silent ones.
    spec = SceneSpec(min_silent=0, max_silent=1) if name == "scene_boxes" else SceneSpec()
    clips = scenes(root, split=split, num_clips=counts[not train], spec=spec)
    if name == "scene_masks":
        base = scenes_as_avsbench(root, part="avss")
        return _among(clips, avsbench_avss(base, split=split).per_frame())
    if name == "scene_boxes" and not train:
        return _among(clips, vggss(scenes_as_vggss(root)))
    return clips


def _composed(name: str, root: Path, *, split: Split) -> ClipSet:
    if name == "composed_masks":
        return avsbench_avss(root / "avsbench", split=split).per_frame()
    boxes = name == "composed_boxes" and split == "test"
    return vggss(root) if boxes else composed(root, split=split)


def _among(scenes: ClipSet, clips: ClipSet) -> ClipSet:
    """Select the clips made from the given scenes; the folder may contain more."""
    ids = {item.id[:11] for item in scenes.items}
    return replace(clips, items=tuple(item for item in clips.items if item.id[:11] in ids))
