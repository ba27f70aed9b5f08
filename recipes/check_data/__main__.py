r"""Decode every file of a data set once, and list the files that cannot be used, with reasons.

Commands:
    python -m recipes.check_data folder --data.root DIR
    python -m recipes.check_data vggsound --data.root DIR --data.split test

The list is health.csv in the run folder, written file by file. After an interruption or a kill, the
same command resumes: files in the list are not read again; delete the list to check them again. The
exit code is 0 if all files can be used, 1 if any cannot, and 2 if the command itself is wrong. One
core decodes about 400 clips of ten seconds and 360p per minute.

Try:
    --data.seconds 10 (count audio shorter than that)
"""

import os
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tqdm import tqdm

from avblocks.data.datasets import ClipSet
from avblocks.data.health import check_file
from avblocks.data.pool import imap_unordered
from recipes.check_data.health_csv import HealthList, row_of, summary
from recipes.common.cli import run_cli
from recipes.common.sets import READERS, scenes_root
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

    run: Folder = field(default_factory=Folder)
    """Folder of health.csv."""


PRESETS = {name: (about, Config(data=Source(name=name))) for name, (about, _) in READERS.items()}


def main(config: Config) -> None:
    """Check the files that are not in the list yet, then summarize the list."""
    source = config.data
    paths = list(dict.fromkeys(path for clips in _clips(source) for path in _paths(clips)))
    health = HealthList(config.run.folder / "health.csv")
    todo = [path for path in paths if path not in health.rows]
    bar = tqdm(
        desc="check", total=len(paths), initial=len(paths) - len(todo), unit="file", mininterval=1
    )
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
            listed.append(reader(root))
            print(listed[-1].report(), flush=True)
    if not any(map(len, listed)):
        raise ValueError(f"{root}: none of the clips that {source.name} lists is on disk")
    return listed


def _paths(clips: ClipSet) -> list[str]:
    """Return all files of the clips."""
    images = [image for item in clips.items for image in item.images]
    masks = [image.mask for image in images if image.mask is not None]
    return [*(item.path for item in clips.items), *(p.path for p in images), *masks]


if __name__ == "__main__":
    run_cli(main, presets=PRESETS, doc=__doc__)
