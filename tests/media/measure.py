"""Measure the whole matrix of files: how far off each reader is, at most.

Commands:
    python -m tests.media.measure --out docs/results/media.json        (two minutes on one core)
"""

import argparse
import json
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import av
from tqdm import tqdm

from avblocks.data.health import check_file
from avblocks.files import write_text
from tests.media.compare import WINDOWS, Errors, errors, windows_of, wrong
from tests.media.files import write_kind
from tests.media.matrix import CASES

Row = dict[str, Any]


def measure(name: str) -> dict[str, Errors]:
    """Read one file of the matrix by each reader.

    Raises:
        AssertionError: If it counts as damaged, or shows none of the images that are in it.
    """
    with TemporaryDirectory() as folder:
        path = write_kind(Path(folder), CASES[name])
        reason = check_file(path).reason
        assert not reason, reason
        found = windows_of(path, Path(folder))
        return {reader: errors(windows, CASES[name]) for reader, windows in found.items()}


def worst(rows: Iterable[Errors]) -> Errors:
    """Take the largest of each error."""
    rows = list(rows)
    return Errors(
        **{part.name: max(getattr(r, part.name) for r in rows) for part in fields(Errors)}
    )


def summary(found: Mapping[str, Errors], *, part: int) -> dict[str, Row]:
    """Sum up the files that have a part of their name in common."""
    groups: dict[str, list[Errors]] = {}
    for name, row in found.items():
        groups.setdefault(name.split(", ")[part], []).append(row)
    return {
        name: {
            "files": len(rows),
            "right": sum(not wrong(row) for row in rows),
            "images off": round(worst(rows).frames, 2),
            "ms of wrong silence": round(worst(rows).silence),
            "loudness off, %": round(100 * worst(rows).level, 1),
            "gray levels off": round(worst(rows).gray, 1),
        }
        for name, rows in groups.items()
    }


def main() -> None:
    """Measure, print what is wrong, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--only", nargs="*", help="parts of names", default=[""])
    args = parser.parse_args()
    names = [name for name in CASES if any(part in name for part in args.only)]
    found: dict[str, Errors] = {}
    failed: list[str] = []
    for name in tqdm(names, "media", unit="file", mininterval=5):
        try:
            readers = measure(name)
        except (AssertionError, ValueError) as error:
            failed.append(f"{name}: {error}")
            continue
        found[name] = worst(readers.values())
        for reader, row in readers.items():
            if over := wrong(row):
                failed.append(f"{name}, {reader}: {', '.join(over)}: {row}")
    print(*failed, sep="\n")
    figures = {
        "files": len(names),
        "right": sum(not wrong(row) for row in found.values()),
        "windows": WINDOWS,
        "av": av.__version__,
        "content": summary(found, part=1),
        "container": summary(found, part=0),
        "failed": failed,
    }
    if args.out:
        write_text(args.out, json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
