"""Write a data set as shards, in parallel, and continue where a killed run stopped.

The content of a shard depends only on the list of clips and the settings: shard i contains the
clips from i * n to (i + 1) * n. A tar file gets its final name after its index is written, so every
existing tar file is complete, and only missing ones are written.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Literal

from avblocks.data.batch import Skipped
from avblocks.data.datasets.clipset import ClipSet
from avblocks.data.shards.encode import ShardSettings
from avblocks.data.shards.files import AGAIN, write_json
from avblocks.data.shards.index import INDEX, VERSION, check_version, sealed
from avblocks.data.shards.pack import SplitWriter
from avblocks.data.shards.read import Shards
from avblocks.data.skipped import write_skipped
from avblocks.jsonfile import read_json
from avblocks.locks import locked
from avblocks.shapes import require_choice


def make_shards(
    splits: Mapping[str, ClipSet],
    out: str | Path,
    *,
    settings: ShardSettings | None = None,
    workers: int = 0,
    timeout: float = 600.0,
    on_error: Literal["raise", "skip"] = "raise",
    max_skipped: float = 0.1,
) -> Shards:
    """Write the shards that are missing in a folder.

    The folder contains ``SPLIT-iiiiii.tar``, each with an index of the same name in JSON;
    ``index.json``, which is marked complete at the end; and ``skipped.csv`` if files were skipped.

    Args:
        splits: The clips of each split by its name, of letters, digits and ``_``.
        out: Folder that contains nothing but these shards.
        settings: Settings of the shards; the defaults if not given.
        workers: Number of processes that decode and encode; 0 for this one.
        timeout: Seconds without a clip after which an error is raised.
        on_error: Whether a file that cannot be used is an error, or is listed and skipped.
        max_skipped: Fraction of the files of a split that may be skipped.

    Returns:
        The shards.

    Raises:
        ClipError: If a file cannot be used and ``on_error`` is "raise".
        TooManySkippedError: If more files were skipped than allowed.
        ValueError: If the folder contains shards of other settings or other clips, or another
            process writes to it, or ``on_error`` is unknown.
        FileNotFoundError: If the folder is removed during the call.
    """
    require_choice("raise", "skip", on_error=on_error)
    out, settings = Path(out), settings or ShardSettings()
    index = _plan(splits, settings)
    with locked(out, remedy="wait for its end, or name another folder") as lock:
        _claim(out, index)
        skipped: list[Skipped] = []
        writer = partial(
            SplitWriter,
            out,
            settings=settings,
            skipped=skipped,
            on_error=on_error,
            max_skipped=max_skipped,
            check=lock.check,
        )
        writers = {split: writer(split, clips) for split, clips in splits.items()}
        for split, writer in writers.items():
            index["splits"][split]["shards"] = writer.write(workers=workers, timeout=timeout)
        write_skipped(out / "skipped.csv", skipped)
        write_json(out / INDEX, sealed(index | {"complete": True}))
    return Shards(out)


def _plan(splits: Mapping[str, ClipSet], settings: ShardSettings) -> dict[str, Any]:
    """Return the settings and clips of the shards, so that others are never mixed with them."""
    for split, clips in splits.items():
        if not re.fullmatch(r"\w+", split, re.ASCII) or not len(clips):
            raise ValueError(
                f"expected clips in splits of plain names, got {split!r}, {clips.name}"
            )
    return {
        "version": VERSION,
        "settings": asdict(settings),
        "splits": {
            split: {
                "name": clips.name,
                "classes": list(clips.classes),
                "missing": list(clips.missing),
                "remarks": list(clips.remarks),
                "listed": len(clips),
                "list_sha256": hashlib.sha256(repr(clips.items).encode()).hexdigest(),
            }
            for split, clips in splits.items()
        },
    }


def _claim(out: Path, plan: Mapping[str, Any]) -> None:
    """Check that a folder is new or was begun with the same plan."""
    path = out / INDEX
    if not path.is_file():
        write_json(path, {**plan, "complete": False})
    found = read_json(path, {"splits": {"*": dict}}, remedy=AGAIN)
    check_version(path, found)
    for split in found["splits"].values():
        split.pop("shards", None)
    for name in ("complete", "sha256"):
        found.pop(name, None)
    if found != plan:
        raise ValueError(
            f"{out}: holds shards of other settings, or the clips on disk are others than when it "
            "was begun; name another folder or delete this one"
        )
