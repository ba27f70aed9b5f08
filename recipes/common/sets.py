"""Data sets by name: readers of their splits, and which of them recipes train and test on."""

import os
from collections.abc import Callable
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
from avblocks.data.scenes import composed, scenes

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
Splits = dict[str, Callable[[Path], ClipSet]]


def _splits(reader: Callable[..., ClipSet], *names: str, key: str = "split") -> Splits:
    return {name: partial(reader, **{key: name}) for name in names}


def own_part(
    reader: Callable[..., tuple[ClipSet, ClipSet]],
    root: Path,
    *,
    part: Literal["train", "test"],
    test_list: Path | None = None,
) -> ClipSet:
    """List the training or the test clips of your own data."""
    return reader(root, test_list=test_list)[part == "test"]


OWN_PARTS = ("box_folder", "mask_folder")
"""Data sets in `READERS` that are listed by `own_part`."""
READERS: dict[str, tuple[str, Splits]] = {
    "scenes": ("small synthetic scenes", _splits(scenes, "train", "test")),
    "composed": ("scenes of recipes.make_scenes", _splits(composed, "train", "test")),
    "folder": ("any folder of video files with audio", {"all": folder}),
    "box_folder": (
        "your own videos, with boxes.csv",
        _splits(partial(own_part, box_folder), "train", "test", key="part"),
    ),
    "mask_folder": (
        "your own frames, masks and audio, in train and test",
        _splits(partial(own_part, mask_folder), "train", "test", key="part"),
    ),
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
