r"""Pack a data set into tar shards of JPEG, FLAC and JSON, for fast reading in training.

Commands:
    python -m recipes.make_shards scenes --out DIR
    python -m recipes.make_shards vggsound --data.root DIR --out SHARDS --data.on-error skip
    python -m recipes.paper_pretrain vggsound --data.shards SHARDS

Stopped, or killed, and started again with the same words, it goes on: finished shards are kept, and
nothing is lost or doubled. Files that cannot be used are listed in SHARDS/skipped.csv.

Every second has a picture, so that a window of a second or more always has one; one of them is in
the very middle of the clip, where evaluation looks. The layout is WebDataset's.

Try:
    --shards.fps 4 --shards.side 128
"""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Suppress

from avblocks.data.shards import Shards, ShardSettings, make_shards
from recipes.common.cli import run_cli
from recipes.common.data import Data, DataName, test_set, train_set
from recipes.engine.run import Run


@dataclass(frozen=True, kw_only=True)
class Source:
    """Which clips to read."""

    name: DataName
    """Layout of the data; scenes are made on the spot."""

    root: Path | None = None
    """Where the data lies; scenes are kept in a cache folder unless it is given."""

    workers: int = os.cpu_count() or 1
    """Processes that decode and encode."""

    timeout: float = 600.0
    """Seconds without a clip from these processes after which the work ends with an error."""

    on_error: Literal["raise", "skip"] = "raise"
    """Stop at a file that cannot be used, or list it in skipped.csv and go on without it."""

    max_skipped: float = 0.1
    """Share of a split's files that may be skipped; beyond it the work stops with an error."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """What to make shards of, and where."""

    data: Source
    """The clips."""

    out: Path | None = None
    """Folder of the shards, and of nothing else."""

    shards: ShardSettings = field(default_factory=ShardSettings)
    """What to keep of each clip."""

    verify: bool = False
    """Read all shards again in the end and compare their checksums."""

    run: Annotated[Run, Suppress] = field(default_factory=Run)
    """Of no use here."""


_VIDEOS: dict[DataName, str] = {
    "scenes": "small scenes made on the spot",
    "folder": "any folder of video files with sound",
    "class_folder": "a folder of videos in folders of classes",
    "vggsound": "VGGSound, train and test",
    "vggsound_music": "VGGSound-Music, train and test",
    "audioset": "AudioSet, unbalanced and eval",
    "audioset_balanced": "AudioSet, balanced and eval",
}
_PRETRAIN: dict[DataName, str] = {
    "class_folder": "folder",
    "vggsound_music": "vggsound",
    "audioset_balanced": "audioset",
}
"""The preset of `paper_pretrain` for it, where that has another name."""
PRESETS = {name: (about, Config(data=Source(name=name))) for name, about in _VIDEOS.items()}


def main(config: Config) -> None:
    """Make the shards of the training clips and, if there are any, the test clips."""
    if config.out is None:
        raise ValueError("the shards need --out DIR, a folder of their own")
    if not config.data.timeout > 0:
        raise ValueError(f"--data.timeout must be above 0, got {config.data.timeout}")
    data = Data(name=config.data.name, root=config.data.root)
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
    preset = _PRETRAIN.get(data.name, data.name)
    print(f"next: python -m recipes.paper_pretrain {preset} --data.shards {config.out}")


if __name__ == "__main__":
    run_cli(main, presets=PRESETS, doc=__doc__)
