"""What lies beside the tar files: one index for each of them, and one of the whole folder."""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from avblocks.data.datasets.clipset import Item
from avblocks.data.shards.files import AGAIN, COMMAND
from avblocks.data.shards.tar import (
    Span,
    Spans,
    header,
    is_key,
    member_names,
    read_bytes,
    span_fault,
)
from avblocks.files import sha256
from avblocks.jsonfile import Shape, read_json, shape_fault

INDEX = "index.json"
VERSION = 2
"""Of the layout; shards of version 1 have no checksums of indices and members."""
_CLIP: Shape = {"key": str, "id": str, "labels": [int], "members": list}
_SHARD: Shape = {"bytes": int, "sha256": str, "clips": [_CLIP], "skipped": [[str]]}
_SPLIT: Shape = {
    "name": str,
    "classes": [str],
    "remarks": [str],
    "missing": [str],
    "shards": [{"file": str, "sha256": str, "index_sha256": str}],
}
_INDEX: Shape = {"settings": {"rate": int}, "splits": {"*": _SPLIT}}


@dataclass(frozen=True, eq=False)
class Shard:
    """One tar file by its index.

    Attributes:
        path: The tar file.
        size: Its bytes.
        sha256: Its checksum.
        index_sha256: The checksum of its index.
        rows: The clips' keys and numbers, in their order.
        items: The same clips, as a data set lists them.
        starts: Where the members of each clip begin among ``spans``, and where the last ones end.
        spans: Places of all members.
        skipped: Id, path and reason of each file that could not be used.
    """

    path: Path
    size: int
    sha256: str
    index_sha256: str
    rows: dict[str, int]
    items: tuple[Item, ...]
    starts: tuple[int, ...]
    spans: Spans
    skipped: tuple[tuple[str, str, str], ...]

    def members(self, key: str) -> list[Span]:
        """Give the places of a clip's members: notes, sound, pictures."""
        row = self.rows[key]
        return [
            Span(*span) for span in self.spans[self.starts[row] : self.starts[row + 1]].tolist()
        ]

    def verify(self) -> None:
        """Read the whole file and compare its checksum, and each header with the index.

        Raises:
            ValueError: If anything differs.
        """
        if sha256(self.path) != self.sha256:
            raise ValueError(f"{self.path}: damaged, its sha256 is not that of its index; {AGAIN}")
        handle = os.open(self.path, os.O_RDONLY)
        try:
            for key in self.rows:
                spans = self.members(key)
                for name, span in zip(member_names(key, len(spans)), spans, strict=True):
                    wanted = header(name, span.size)
                    if read_bytes(handle, span.start - len(wanted), len(wanted)) != wanted:
                        raise ValueError(f"{self.path}: its index says {name} where it is not")
        finally:
            os.close(handle)


def load_shard(tar: Path, *, classes: int) -> Shard:
    """Read the index beside a tar file and hold it against the file's size.

    Args:
        tar: The tar file.
        classes: How many classes there are, which bounds the labels.

    Raises:
        ValueError: If either is missing or a link out of the folder, or they do not fit each other.
    """
    for name in (tar, tar.with_suffix(".json")):
        if name.resolve().parent != tar.parent.resolve():
            raise ValueError(f"{name}: leads out of its folder; copy the file itself there")
    path = tar.with_suffix(".json")
    facts = read_json(path, _SHARD, remedy=AGAIN)
    try:
        clips = facts["clips"]
        spans = [span for clip in clips for span in clip["members"]]
        shard = Shard(
            path=tar,
            size=facts["bytes"],
            sha256=facts["sha256"],
            index_sha256=sha256(path),
            rows={clip["key"]: row for row, clip in enumerate(clips)},
            items=tuple(
                Item(clip["id"], f"{tar}/{clip['key']}", tuple(clip["labels"])) for clip in clips
            ),
            starts=tuple(np.cumsum([0, *(len(clip["members"]) for clip in clips)]).tolist()),
            spans=np.array(spans, dtype=np.int64).reshape(-1, 3),
            skipped=tuple((i, p, r) for i, p, r in facts["skipped"]),
        )
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"{path}: not the index of a shard ({error!r}); {AGAIN}") from error
    fault = _fault(shard, classes)
    if fault is not None:
        raise ValueError(f"{tar}: {fault}; {AGAIN}")
    return shard


def _fault(shard: Shard, classes: int) -> str | None:
    if not shard.path.is_file():
        return "no such file"
    found = shard.path.stat().st_size
    if found != shard.size:
        return f"{found:,} bytes, its index says {shard.size:,}"
    if not all(map(is_key, shard.rows)) or len(shard.rows) < len(shard.items):
        return "its index has keys that no shard has"
    if not all(0 <= label < classes for item in shard.items for label in item.labels):
        return f"its index has a label outside of the {classes} classes"
    if any(high - low < 3 for low, high in zip(shard.starts, shard.starts[1:], strict=False)):
        return "its index has a clip without notes, sound or picture"
    return span_fault(shard.spans, size=shard.size)


def sealed(index: Mapping[str, Any]) -> dict[str, Any]:
    """Add the checksum of all else to the index of a folder."""
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
    """Read the index of a whole folder, with name, classes, missing ids and shards of each split.

    Raises:
        ValueError: If it is missing, damaged, unfinished or not of this version.
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
    files = [shard["file"] for facts in index["splits"].values() for shard in facts["shards"]]
    wrong = [file for file in files if not re.fullmatch(r"[A-Za-z0-9_-]+\.tar", file)]
    if wrong:
        raise ValueError(f"{path}: {wrong[0]!r} is no name of a shard")
    return index
