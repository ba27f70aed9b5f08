"""Data sets by name: readers of their splits, and the training and test clips of recipes."""

import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

from avblocks.data.datasets import (
    ClipSet,
    audioset,
    avsbench_avss,
    avsbench_ms3,
    avsbench_s4,
    box_folder,
    class_folder,
    flickr_plus_silent,
    flickr_soundnet,
    folder,
    hold_out,
    is3,
    mask_folder,
    music,
    music_duet,
    plain_folder,
    stills,
    vggsound,
    vggsound_music,
    vggsounder,
    vggss,
    vggss_plus_silent,
    vpo_ms,
    vpo_ss,
)
from avblocks.data.scenes import (
    SceneSpec,
    composed,
    scenes,
    scenes_as_avsbench,
    scenes_as_vggss,
)
from avblocks.data.scenes.classes import Split
from avblocks.data.scenes.source import VERSION

_Made = Literal["scenes", "scene_boxes", "scene_masks"]
_Own = Literal["folder", "class_folder", "box_folder", "mask_folder"]
_Composed = Literal["composed", "composed_boxes", "composed_masks"]
_VGGSound = Literal["vggsound", "vggsound_music", "vggsounder", "vggss", "vggss_plus_silent"]
_Stills = Literal["flickr", "flickr_plus_silent", "music_duet", "is3", "vpo_ss", "vpo_ms"]
_AudioSet = Literal["audioset", "audioset_balanced"]
_AVSBench = Literal["avsbench_s4", "avsbench_ms3", "avsbench_avss"]
_Music = Literal["music", "music21", "music_solo_duet"]
DataName = Literal[_Made, _Composed, _Own, _VGGSound, _Stills, _AudioSet, _AVSBench, _Music]
"""Data sets that recipes train on."""
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "avblocks"
Counts = tuple[int, int]  # numbers of training and test scenes
Splits = dict[str, Callable[[Path], ClipSet]]


def _splits(reader: Callable[..., ClipSet], *names: str, key: str = "split") -> Splits:
    return {name: partial(reader, **{key: name}) for name in names}


READERS: dict[str, tuple[str, Splits]] = {
    "scenes": ("small synthetic scenes", _splits(scenes, "train", "test")),
    "composed": ("scenes of recipes.make_scenes", _splits(composed, "train", "test")),
    "folder": ("any folder of video files with audio", {"all": folder}),
    "vggsound": ("VGGSound", _splits(vggsound, "train", "test")),
    "vggsound_music": ("VGGSound-Music", _splits(vggsound_music, "train", "test")),
    "vggsounder": (
        "VGGSounder",
        _splits(vggsounder, "all", "audible", "visible", "both", key="modality"),
    ),
    "audioset": ("AudioSet", _splits(audioset, "unbalanced", "eval", "balanced")),
    "music": ("MUSIC", _splits(music, "solo", "duet", key="part")),
    "music21": ("MUSIC-21", _splits(music, "solo21", key="part")),
    "music_duet": ("MUSIC's duets with boxes", {"test": music_duet}),
    "avsbench_s4": ("AVSBench, one source", _splits(avsbench_s4, "train", "val", "test")),
    "avsbench_ms3": ("AVSBench, several sources", _splits(avsbench_ms3, "train", "val", "test")),
    "avsbench_avss": ("AVSBench, semantic", _splits(avsbench_avss, "train", "val", "test")),
    "vggss": ("VGG-SS", {"test": vggss}),
    "vggss_plus_silent": ("Extended VGG-SS", {"test": vggss_plus_silent}),
    "flickr": ("Flickr-SoundNet's test", {"test": flickr_soundnet}),
    "flickr_plus_silent": ("Extended Flickr-SoundNet's test", {"test": flickr_plus_silent}),
    "is3": ("IS3", _splits(is3, "boxes", "masks", key="annotation")),
    "vpo_ss": ("VPO, one source", _splits(vpo_ss, "boxes", "masks", key="annotation")),
    "vpo_ms": ("VPO, several sources", _splits(vpo_ms, "boxes", "masks", key="annotation")),
    "stills": ("pairs of wav and jpg", {"all": stills}),
}
TRAIN_TEST = {
    **dict.fromkeys(("vggsound", "vggsound_music"), ("train", "test")),
    **dict.fromkeys(("avsbench_s4", "avsbench_ms3", "avsbench_avss"), ("train", "test")),
    "audioset": ("unbalanced", "eval"),
    "audioset_balanced": ("balanced", "eval"),
}
"""Training and test splits of data sets that are used as published."""
ON_VGGSOUND = {"vggss": "test", "vggss_plus_silent": "test", "vggsounder": "all"}
"""Test splits of data sets whose training clips are those of VGGSound."""
SOLOS = ("music", "music21", "music_solo_duet")
"""Data sets of solos, a fifth of which is held out to test on."""
PAIRS = {
    **dict.fromkeys(("flickr", "flickr_plus_silent", "music_duet"), "test"),
    **dict.fromkeys(("is3", "vpo_ss", "vpo_ms"), "boxes"),
}
"""Test splits of data sets that train on audio files with images, in a separate folder."""


OWN: dict[str, Callable[..., tuple[ClipSet, ClipSet | None]]] = {
    "folder": plain_folder,
    "class_folder": class_folder,
    "box_folder": box_folder,
    "mask_folder": mask_folder,
}
"""Training and test clips of your own data."""


def read_set(
    name: DataName,
    root: Path | None,
    *,
    train: bool,
    counts: Counts,
    val: bool = False,
    test_list: Path | None = None,
) -> ClipSet | None:
    """List the training or test clips of a data set; scenes need counts instead of a root.

    ``test_list`` lists the test clips of your own data; lists of published sets are applied later.

    Returns:
        The clips; of AVSBench, the images with masks; `None` for tests on a folder without classes.

    Raises:
        ValueError: If the root is not given, or its content is wrong.
    """
    if root is None and not name.startswith("scene"):
        raise ValueError(f"the {name} preset needs --data.root DIR, the folder of its clips")
    root = root or scenes_root(name)
    if val and not name.startswith("avsbench"):
        raise ValueError(f"{name} has no split to validate on: leave --data.split out")
    if name in TRAIN_TEST:
        split = "val" if val and not train else TRAIN_TEST[name][not train]
        reader = READERS[name.removesuffix("_balanced")][1][split]
        return reader(root).per_frame() if name.startswith("avsbench") else reader(root)
    if name in PAIRS:
        test = READERS[name][1][PAIRS[name]]
        return stills(root / "train") if train else test(root / "test")
    if name in OWN:
        return OWN[name](root, test_list=test_list)[not train]
    if name in SOLOS:
        return _solos(name, root, train=train)
    if name in ON_VGGSOUND:
        test = READERS[name][1][ON_VGGSOUND[name]]
        return vggsound(root, split="train") if train else test(root)
    return _scenes(name, root, train=train, counts=counts)


def _composed(name: str, root: Path, *, split: Split) -> ClipSet:
    if name == "composed_masks":
        return avsbench_avss(root / "avsbench", split=split).per_frame()
    boxes = name == "composed_boxes" and split == "test"
    return vggss(root) if boxes else composed(root, split=split)


def _solos(name: DataName, root: Path, *, train: bool) -> ClipSet:
    solos = music(root, part="solo21" if name == "music21" else "solo")
    # A video that two instruments list is no solo to test on.
    single = tuple(item for item in solos.items if len(item.labels) == 1)
    kept, held = hold_out(replace(solos, items=single))
    if not train:
        return held
    others = tuple(item for item in solos.items if len(item.labels) > 1)
    if name == "music_solo_duet":
        duets = music(root, part="duet").items
        return replace(kept, name=f"{kept.name}, and duets", items=kept.items + others + duets)
    return replace(kept, items=kept.items + others)


def scenes_root(name: str = "scenes") -> Path:
    """Return the default folder of scenes."""
    return CACHE / f"scenes-{VERSION}{'-few-silent' if name == 'scene_boxes' else ''}"


def _scenes(name: str, root: Path, *, train: bool, counts: Counts) -> ClipSet:
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


def _among(scenes: ClipSet, clips: ClipSet) -> ClipSet:
    """Select the clips made from the given scenes; the folder may contain more."""
    ids = {item.id[:11] for item in scenes.items}
    return replace(clips, items=tuple(item for item in clips.items if item.id[:11] in ids))
