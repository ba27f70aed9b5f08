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

import sys
from dataclasses import asdict

from avblocks.data.datasets import ClipSet
from avblocks.data.health import check_file
from avblocks.data.pool import imap_unordered
from avblocks.progress import progress_bar
from recipes.check_data.against import search_leaks
from recipes.check_data.health_csv import HealthList, row_of, summary
from recipes.check_data.settings import Config, Source, list_clips
from recipes.check_data.sides import LISTS
from recipes.common.cli import run_cli
from recipes.common.sets import READERS
from recipes.engine.folder import check_writable

_SETS = {name: about for name, (about, _) in READERS.items()}
_SETS |= {LISTS: "published lists of ids, without the files (with --against)"}
PRESETS = {name: (about, Config(data=Source(name=name))) for name, about in _SETS.items()}


def main(config: Config) -> None:
    """Check the files, or search leaks."""
    check_writable(config.run.folder, option="--run.dir")
    if config.against:
        if search_leaks(config) and config.exclude is None:
            sys.exit(1)
    else:
        _check_files(config)


def _check_files(config: Config) -> None:
    """Check the files that are not in the list yet, then summarize the list."""
    source = config.data
    if source.name == LISTS or source.list or config.exclude:
        raise ValueError("lists, --data.list and --exclude go with --against OTHER")
    paths = list(dict.fromkeys(path for clips in list_clips(source) for path in _paths(clips)))
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


def _paths(clips: ClipSet) -> list[str]:
    """Return all files of the clips."""
    images = [image for item in clips.items for image in item.images]
    masks = [image.mask for image in images if image.mask is not None]
    return [*(item.path for item in clips.items), *(p.path for p in images), *masks]


if __name__ == "__main__":
    run_cli(main, presets=PRESETS, doc=__doc__)
