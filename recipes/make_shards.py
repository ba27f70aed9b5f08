r"""Pack a data set into tar shards of JPEG, FLAC and JSON, for fast reading in training.

Commands:
    python -m recipes.make_shards scenes --out DIR
    python -m recipes.make_shards vggsound --data.root DIR --out SHARDS --data.on-error skip
    python -m recipes.paper_pretrain vggsound --data.shards SHARDS

After an interruption or a kill, the same command resumes: finished shards are kept, and no clip is
lost or duplicated. Files that cannot be used are listed in SHARDS/skipped.csv.

Of a video there is one image per second, so that a window of a second or more always contains one;
one image is in the middle of the clip, for evaluation. Image files and masks of at most 256 pixels
are packed unchanged. The layout is that of WebDataset.

Try:
    --shards.fps 4 --shards.side 128
"""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from avblocks.data.shards import Shards, ShardSettings, make_shards
from recipes.common.cli import run_cli
from recipes.common.data import Data, DataName, test_set, train_set
from recipes.common.run_files import check_out
from recipes.common.sets import PAIRS


@dataclass(frozen=True, kw_only=True)
class Source:
    """Clips to read."""

    name: DataName
    """Data set; scenes are synthetic."""

    root: Path | None = None
    """Folder of the data; for scenes, a cache folder by default."""

    scenes: tuple[int, int] = (240, 120)
    """Numbers of training and test scenes."""

    list: Path | None = None
    """csv with the ids of the training clips, as in recipes; all clips if not given."""

    test_list: Path | None = None
    """csv with the ids of the test clips; all clips if not given."""

    workers: int = os.cpu_count() or 1
    """Number of processes that decode and encode."""

    timeout: float = 600.0
    """Seconds without a clip from these processes after which the command fails."""

    on_error: Literal["raise", "skip"] = "raise"
    """Stop at a file that cannot be used, or skip it and list it in skipped.csv."""

    max_skipped: float = 0.1
    """Fraction of the files of a split that may be skipped; beyond it the command fails."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Settings."""

    data: Source
    """The clips."""

    out: Path | None = None
    """Folder for the shards and nothing else."""

    shards: ShardSettings = field(default_factory=ShardSettings)
    """Settings of the shards."""

    verify: bool = False
    """Read all shards again at the end and verify their checksums."""


_ABOUT: dict[DataName, str] = {
    "scenes": "small synthetic scenes",
    "folder": "any folder of video files with audio",
    "class_folder": "a folder of videos in folders of classes",
    "vggsound": "VGGSound, train and test",
    "vggsound_music": "VGGSound-Music, train and test",
    "audioset": "AudioSet, unbalanced and eval",
    "audioset_balanced": "AudioSet, balanced and eval",
    "scene_boxes": "scenes, and boxes of the test scenes",
    "composed": "scenes of recipes.make_scenes",
    "composed_boxes": "the same, and boxes of the test scenes",
    "box_folder": "a folder of videos, with the boxes of boxes.csv",
    "vggss": "VGGSound's training clips, and VGG-SS with its boxes",
    "vggss_plus_silent": "the same, and Extended VGG-SS",
    "vggsounder": "VGGSound's training clips, and VGGSounder with all its labels",
    "flickr": "Flickr-SoundNet: wav and jpg, and its annotated test",
    "flickr_plus_silent": "the same, and Extended Flickr-SoundNet",
    "music_duet": "wav and jpg of MUSIC, and the annotated frames of its duets",
    "is3": "IS3 with boxes, and wav and jpg to train on",
    "vpo_ss": "VPO-SS, laid out as is3",
    "vpo_ms": "VPO-MS, laid out as is3",
    "music": "the solos of MUSIC",
    "music21": "the solos of MUSIC-21",
    "music_solo_duet": "the solos of MUSIC, and its duets to train on",
    "scene_masks": "scenes with masks",
    "composed_masks": "scenes of recipes.make_scenes with masks",
    "mask_folder": "your own frames, masks and audio",
    "avsbench_s4": "AVSBench, one source",
    "avsbench_ms3": "AVSBench, several sources",
    "avsbench_avss": "AVSBench, semantic",
}
_NEXT: dict[str, str] = {
    "class_folder": "paper_pretrain folder",
    "vggsound_music": "paper_pretrain vggsound",
    "audioset_balanced": "paper_pretrain audioset",
    "scene_boxes": "paper_localize scenes",
    "composed": "paper_pretrain composed",
    "composed_boxes": "paper_localize composed",
    "box_folder": "paper_localize folder",
    "vggsounder": "paper_linear_probe vggsounder",
    "scene_masks": "paper_segment scenes",
    "composed_masks": "paper_segment composed",
    "mask_folder": "paper_segment folder",
    **{name: f"paper_localize {name}" for name in ("vggss", "vggss_plus_silent", *PAIRS)},
    **{name: f"paper_separate {name}" for name in ("music", "music_solo_duet")},
    "music21": "paper_separate music",
    **{name: f"paper_segment {name}" for name in ("avsbench_s4", "avsbench_ms3", "avsbench_avss")},
}
"""The recipe and preset that read it; the others are presets of `paper_pretrain`."""
PRESETS = {name: (about, Config(data=Source(name=name))) for name, about in _ABOUT.items()}
PRESETS["scene_boxes"] = (
    _ABOUT["scene_boxes"],
    Config(data=Source(name="scene_boxes", scenes=(960, 120))),
)


def main(config: Config) -> None:
    """Make shards of the training clips and, if there are any, the test clips."""
    if config.out is None:
        raise ValueError("the shards need --out DIR, a folder of their own")
    check_out(config.out)
    if not config.data.timeout > 0:
        raise ValueError(f"--data.timeout must be above 0, got {config.data.timeout}")
    source = config.data
    data = Data(
        name=source.name,
        root=source.root,
        scenes=source.scenes,
        list=source.list,
        test_list=source.test_list,
    )
    splits = {"train": train_set(data), "test": test_set(data)}
    shards = make_shards(
        {split: clips for split, clips in splits.items() if clips is not None},
        config.out,
        settings=config.shards,
        workers=config.data.workers,
        timeout=config.data.timeout,
        on_error=config.data.on_error,
        max_skipped=config.data.max_skipped,
    )
    if config.verify:
        Shards(config.out, verify=True)
    for split in shards.splits:
        print(shards.clips(split).report())
    following = _NEXT.get(data.name, f"paper_pretrain {data.name}")
    print(f"next: python -m recipes.{following} --data.shards {config.out}")


if __name__ == "__main__":
    run_cli(main, presets=PRESETS, doc=__doc__)
