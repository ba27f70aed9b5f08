r"""Decode every clip of a data set once, and list which cannot be used and why.

Commands:
    python -m recipes.check_data folder --data.root DIR
    python -m recipes.check_data vggsound --data.root DIR --data.split test

The list is health.csv in the run folder, written as the work goes on. Stopped, or killed, and
started again with the same words, it goes on: files that are in the list are not read again, so
delete it to have them read anew. The exit code is 0 if all clips can be used, 1 if any cannot, and
2 if the command itself is wrong. A core decodes some 400 clips of ten seconds and 360p a minute.

Try:
    --data.seconds 10 (say which clips are shorter than that)
"""

import os
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from tqdm import tqdm

from avblocks.data.datasets import ClipSet, audioset
from avblocks.data.health import check_clip
from recipes._cli import run_cli
from recipes._data import Data, test_set, train_set
from recipes._health import HealthList, row_of, summary
from recipes._pool import each
from recipes._run import Folder


@dataclass(frozen=True, kw_only=True)
class Source:
    """Which clips to look at."""

    name: Literal["scenes", "folder", "vggsound", "audioset"]
    """Layout of the data; scenes are made on the spot."""

    root: Path | None = None
    """Where the data lies; scenes are kept in a cache folder unless it is given."""

    split: Literal["train", "test", "unbalanced", "balanced", "eval"] | None = None
    """Part of the data set; by default what recipes train and test on."""

    seconds: float = 3.0
    """Length of the window that recipes cut out: shorter sounds are counted."""

    workers: int = os.cpu_count() or 1
    """Processes that decode."""

    limit: float = 120.0
    """Seconds that a clip may take; one that takes longer cannot be used."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """What to look at, and where to list it."""

    data: Source
    """The clips."""

    run: Folder = field(default_factory=Folder)
    """Where health.csv is."""


PRESETS = {
    "scenes": ("small scenes made on the spot", Config(data=Source(name="scenes"))),
    "folder": ("any folder of video files with sound", Config(data=Source(name="folder"))),
    "vggsound": ("VGGSound, train and test", Config(data=Source(name="vggsound"))),
    "audioset": ("AudioSet, unbalanced and eval", Config(data=Source(name="audioset"))),
}
_SPLITS = {
    "scenes": ("train", "test"),
    "folder": (),
    "vggsound": ("train", "test"),
    "audioset": ("unbalanced", "eval", "balanced"),
}


def main(config: Config) -> None:
    """Look at what is not in the list yet, then sum up the list."""
    source = config.data
    paths = list(dict.fromkeys(item.path for clips in _clips(source) for item in clips.items))
    health = HealthList(config.run.folder / "health.csv")
    todo = [path for path in paths if path not in health.rows]
    bar = tqdm(
        desc="check", total=len(paths), initial=len(paths) - len(todo), unit="clip", mininterval=1
    )
    with bar, health:
        for path, found, reason in each(
            check_clip, todo, workers=source.workers, limit=source.limit
        ):
            row = {"path": path, "reason": reason} if found is None else row_of(asdict(found))
            health.append(row)
            bar.update()
            bar.set_postfix(unusable=health.unusable, refresh=False)
    rows = [health.rows[path] for path in paths]
    print(summary(rows, seconds=source.seconds))
    print(f"list: {health.path}")
    if any(row["reason"] for row in rows):
        sys.exit(1)


def _clips(source: Source) -> list[ClipSet]:
    data, known = Data(name=source.name, root=source.root), _SPLITS[source.name]
    if source.split is None:
        return [clips for clips in (train_set(data), test_set(data)) if clips is not None]
    if source.split not in known:
        kinds = f"those of {', '.join(known)}" if known else "none"
        raise ValueError(f"{source.name} has no split {source.split!r}; it has {kinds}")
    if source.split != "balanced":
        clips = train_set(data) if source.split == known[0] else test_set(data)
        return [] if clips is None else [clips]
    if source.root is None:
        raise ValueError("the audioset preset needs --data.root DIR, the folder of its clips")
    clips = audioset(source.root, split="balanced")
    print(clips.report())
    return [clips]


if __name__ == "__main__":
    run_cli(main, presets=PRESETS, doc=__doc__)
