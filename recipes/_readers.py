"""Every data set by name: what it is, and the reader of each of its splits."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from avblocks.data.datasets import (
    ClipSet,
    audioset,
    avsbench_avss,
    avsbench_ms3,
    avsbench_s4,
    flickr_soundnet,
    folder,
    music,
    scenes,
    stills,
    vggsound,
    vggsound_music,
    vggss,
)

Splits = dict[str, Callable[[Path], ClipSet]]


def _splits(reader: Callable[..., ClipSet], *names: str, key: str = "split") -> Splits:
    return {name: partial(reader, **{key: name}) for name in names}


READERS: dict[str, tuple[str, Splits]] = {
    "scenes": ("small scenes made on the spot", _splits(scenes, "train", "test")),
    "folder": ("any folder of video files with sound", {"all": folder}),
    "vggsound": ("VGGSound", _splits(vggsound, "train", "test")),
    "vggsound_music": ("VGGSound-Music", _splits(vggsound_music, "train", "test")),
    "audioset": ("AudioSet", _splits(audioset, "unbalanced", "eval", "balanced")),
    "music": ("MUSIC", _splits(music, "solo", "duet", key="part")),
    "music21": ("MUSIC-21", _splits(music, "solo21", key="part")),
    "avsbench_s4": ("AVSBench, one source", _splits(avsbench_s4, "train", "val", "test")),
    "avsbench_ms3": ("AVSBench, several sources", _splits(avsbench_ms3, "train", "val", "test")),
    "avsbench_avss": ("AVSBench, semantic", _splits(avsbench_avss, "train", "val", "test")),
    "vggss": ("VGG-SS", {"test": vggss}),
    "flickr": ("Flickr-SoundNet's test", {"test": flickr_soundnet}),
    "stills": ("pairs of wav and jpg", {"all": stills}),
}
