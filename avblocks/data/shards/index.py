"""Index of a folder of shards: its settings, splits and shards."""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from avblocks.data.shards.files import AGAIN, COMMAND
from avblocks.jsonfile import Shape, read_json, shape_fault

INDEX = "index.json"
VERSION = 2
"""Version of the layout; version 1 had no checksums of indices and members."""
_SPLIT: Shape = {
    "name": str,
    "classes": [str],
    "remarks": [str],
    "missing": [str],
    "shards": [{"file": str, "sha256": str, "index_sha256": str}],
}
_INDEX: Shape = {"settings": {"rate": int}, "splits": {"*": _SPLIT}}


def sealed(index: Mapping[str, Any]) -> dict[str, Any]:
    """Add to the index of a folder a checksum of the rest of it."""
    text = json.dumps({**index, "sha256": ""}, sort_keys=True)
    return {**index, "sha256": hashlib.sha256(text.encode()).hexdigest()}


def check_version(path: Path, index: Any) -> None:
    """Raise a ValueError if the index of a folder is of another version."""
    if shape_fault(index, {"version": object}) or index["version"] != VERSION:
        there = index.get("version") if isinstance(index, dict) else None
        raise ValueError(
            f"{path}: shards of version {there!r:.20}, but version {VERSION} is read, which has "
            f"checksums; delete the folder and make them anew: {COMMAND} --out {path.parent}"
        )


def load_index(root: Path) -> dict[str, Any]:
    """Read the index of a folder: name, classes, missing ids and shards of each split.

    Raises:
        ValueError: If it is missing, damaged, incomplete or of another version.
    """
    path = root / INDEX
    index = read_json(path, remedy=AGAIN)
    check_version(path, index)
    if index.get("complete") is not True:
        raise ValueError(f"{root}: the shards are unfinished; start the same recipes.make_shards")
    if index != sealed(index):
        raise ValueError(f"{path}: damaged, its sha256 is another; {AGAIN}")
    if (fault := shape_fault(index, _INDEX)) is not None:
        raise ValueError(f"{path}: {fault}; {AGAIN}")
    files = [shard["file"] for split in index["splits"].values() for shard in split["shards"]]
    wrong = [file for file in files if not re.fullmatch(r"[A-Za-z0-9_-]+\.tar", file)]
    if wrong:
        raise ValueError(f"{path}: {wrong[0]!r} is no name of a shard")
    return index
