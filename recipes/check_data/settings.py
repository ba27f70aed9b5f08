"""Settings of `recipes.check_data`, and the clips that they name."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from avblocks.data.datasets import ClipSet
from recipes.common.scene_sets import scenes_root
from recipes.common.sets import OWN_PARTS, READERS
from recipes.engine.run import Folder


@dataclass(frozen=True, kw_only=True)
class Source:
    """Files to check."""

    name: str
    """Data set; scenes are synthetic."""

    root: Path | None = None
    """Folder of the data; for scenes, a cache folder by default."""

    split: str | None = None
    """Split of the data set; all splits by default."""

    test_list: Path | None = None
    """csv with the ids of the test clips, of your own boxes and masks."""

    list: Path | None = None
    """csv with the ids of the clips to compare; with the preset lists, nothing else is read."""

    seconds: float = 3.0
    """Length of the window of recipes; files with shorter audio are counted."""

    workers: int = os.cpu_count() or 1
    """Number of processes that decode."""

    limit: float = 120.0
    """Time limit per file in seconds; a file that takes longer cannot be used."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Settings."""

    data: Source
    """The files."""

    against: tuple[str, ...] = ()
    """Search leaks instead: a FILE of ids, FILE:SPLIT, NAME:SPLIT (of the same folder), NAME=DIR or
    NAME:SPLIT=DIR."""

    exclude: Path | None = None
    """With --against: file for the list of the clips without a leak."""

    exclude_videos: bool = False
    """Exclude also clips of the same video in other seconds."""

    fingerprints: bool = True
    """With --against: compare audio and frames too, not the ids alone."""

    run: Folder = field(default_factory=Folder)
    """Folder of health.csv or leaks.csv."""


def list_clips(source: Source) -> list[ClipSet]:
    """List the clips of a split, or of all splits, and print their number."""
    if source.name not in READERS:
        raise ValueError(f"no data set {source.name!r}; there are {', '.join(READERS)}")
    splits = READERS[source.name][1]
    if source.split is not None and source.split not in splits:
        known = ", ".join(splits)
        raise ValueError(f"{source.name} has no split {source.split!r}; it has {known}")
    if source.root is None and source.name != "scenes":
        raise ValueError(f"{source.name} needs --data.root DIR, the folder of its files")
    root, listed = source.root or scenes_root(), []
    tested = {} if source.test_list is None else {"test_list": source.test_list}
    if tested and source.name not in OWN_PARTS:
        raise ValueError(f"--data.test-list goes with {' or '.join(OWN_PARTS)}")
    for split, part in splits.items():
        reader = partial(part, **tested)
        if source.split in (None, split):
            several = source.split is None and len(splits) > 1
            listed.append(_read_split(reader, root, split) if several else reader(root))
            print(listed[-1].report(), flush=True)
    if not any(map(len, listed)):
        raise ValueError(f"{root}: none of the clips that {source.name} lists is on disk")
    return listed


def _read_split(reader: Callable[[Path], ClipSet], root: Path, split: str) -> ClipSet:
    """List the clips of one of several splits; an error says how to leave it out."""
    try:
        return reader(root)
    except ValueError as error:
        remedy = "to check another split alone, give --data.split"
        raise ValueError(f"split {split}: {error}; {remedy}") from error
