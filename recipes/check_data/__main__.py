r"""Decode every file of a data set once, and list the files that cannot be used, with reasons.

Commands:
    python -m recipes.check_data folder --data.root DIR
    python -m recipes.check_data vggsound --data.root DIR --data.split test
    python -m recipes.check_data vggsound --data.root DIR --data.split train \
        --against vggsound:test vggss=DIR --exclude clean.csv
    python -m recipes.check_data lists --data.list vggss_144k.txt --against vggsound_test.csv

The list is health.csv in the run folder, written file by file. After an interruption or a kill, the
same command resumes: files in the list are not read again; delete the list to check them again. The
exit code is 0 if all files can be used, 1 if any cannot, and 2 if the command itself is wrong.

With --against, it searches for clips that are also in other data sets, splits or published lists:
clips of the same video with overlapping seconds, by their ids, and the same audio or frames under
other ids, by fingerprints that survive re-encoding. It prints a table, and writes leaks.csv with a
row per pair; --exclude FILE writes the other clips as a list for --data.list of every recipe. The
exit code is 1 if there are leaks and no --exclude. Fingerprints are kept in the run folder.

Try:
    --data.seconds 10 (count audio shorter than that)
"""

import os
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from avblocks.data.datasets import ClipSet
from avblocks.data.health import check_file
from avblocks.data.pool import imap_unordered
from avblocks.progress import progress_bar
from recipes.check_data.against import compare
from recipes.check_data.health_csv import HealthList, row_of, summary
from recipes.check_data.sides import LISTS, Side, among, list_side, other_side, set_side
from recipes.common.cli import run_cli
from recipes.common.scene_sets import scenes_root
from recipes.common.sets import READERS
from recipes.engine.folder import check_writable
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


_SETS = {name: about for name, (about, _) in READERS.items()}
_SETS |= {LISTS: "published lists of ids, without the files (with --against)"}
PRESETS = {name: (about, Config(data=Source(name=name))) for name, about in _SETS.items()}


def main(config: Config) -> None:
    """Check the files, or search leaks."""
    check_writable(config.run.folder, option="--run.dir")
    if config.against:
        _search_leaks(config)
    else:
        _check_files(config)


def _search_leaks(config: Config) -> None:
    """Compare the clips with those of other data sets or lists."""
    source = config.data
    side = _side(source)
    others = [other_side(text, name=source.name, root=source.root) for text in config.against]
    same = [text for text, one in zip(config.against, others, strict=True) if one.same_as(side)]
    if same:
        raise ValueError(f"--against {same[0]} has the same clips: give another split or data set")
    found = compare(
        side,
        others,
        folder=config.run.folder,
        exclude=config.exclude,
        videos=config.exclude_videos,
        media=config.fingerprints,
        workers=source.workers,
        limit=source.limit,
    )
    if found and config.exclude is None:
        sys.exit(1)


def _side(source: Source) -> Side:
    """List the clips to compare."""
    if source.name != LISTS:
        side = set_side(_clips(source), root=source.root or scenes_root())
        return side if source.list is None else among(side, source.list)
    if source.list is None:
        raise ValueError("the preset lists needs --data.list FILE, a list of ids")
    return list_side(source.list, split=source.split)


def _check_files(config: Config) -> None:
    """Check the files that are not in the list yet, then summarize the list."""
    source = config.data
    if source.name == LISTS or source.list or config.exclude:
        raise ValueError("lists, --data.list and --exclude go with --against OTHER")
    paths = list(dict.fromkeys(path for clips in _clips(source) for path in _paths(clips)))
    health = HealthList(config.run.folder / "health.csv")
    todo = [path for path in paths if path not in health.rows]
    bar = progress_bar(about="check", total=len(paths), initial=len(paths) - len(todo), unit="file")
    with bar, health:
        for path, found, reason in imap_unordered(
            check_file, todo, workers=source.workers, limit=source.limit
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
    for split, reader in splits.items():
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


def _paths(clips: ClipSet) -> list[str]:
    """Return all files of the clips."""
    images = [image for item in clips.items for image in item.images]
    masks = [image.mask for image in images if image.mask is not None]
    return [*(item.path for item in clips.items), *(p.path for p in images), *masks]


if __name__ == "__main__":
    run_cli(main, presets=PRESETS, doc=__doc__)
