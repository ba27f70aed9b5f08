"""What lies beside the tar files: one index for each of them, and one of the whole folder."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from avblocks.data.datasets.clipset import Item
from avblocks.data.shards.files import AGAIN, read_json
from avblocks.data.shards.tar import Spans, header, is_key, member_names, read_bytes, span_fault
from avblocks.files import sha256

INDEX = "index.json"
VERSION = 1


@dataclass(frozen=True, eq=False)
class Shard:
    """One tar file by its index.

    Attributes:
        path: The tar file.
        size: Its bytes.
        sha256: Its checksum.
        rows: The clips' keys and numbers, in their order.
        items: The same clips, as a data set lists them.
        starts: Where the members of each clip begin among ``spans``, and where the last ones end.
        spans: Places of all members.
        skipped: Id, path and reason of each file that could not be used.
    """

    path: Path
    size: int
    sha256: str
    rows: dict[str, int]
    items: tuple[Item, ...]
    starts: tuple[int, ...]
    spans: Spans
    skipped: tuple[tuple[str, str, str], ...]

    def members(self, key: str) -> list[tuple[int, int]]:
        """Give offset and size of a clip's members: notes, sound, pictures."""
        row = self.rows[key]
        return list(map(tuple, self.spans[self.starts[row] : self.starts[row + 1]].tolist()))

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
                for name, (start, size) in zip(member_names(key, len(spans)), spans, strict=True):
                    wanted = header(name, size)
                    if read_bytes(handle, start - len(wanted), len(wanted)) != wanted:
                        raise ValueError(f"{self.path}: its index says {name} where it is not")
        finally:
            os.close(handle)


def load_shard(tar: Path) -> Shard:
    """Read the index beside a tar file and hold it against the file's size.

    Raises:
        ValueError: If either is missing, or they do not fit each other.
    """
    path = tar.with_suffix(".json")
    facts = read_json(path)
    try:
        clips = facts["clips"]
        spans = [span for clip in clips for span in clip["members"]]
        shard = Shard(
            path=tar,
            size=int(facts["bytes"]),
            sha256=str(facts["sha256"]),
            rows={str(clip["key"]): row for row, clip in enumerate(clips)},
            items=tuple(
                Item(str(clip["id"]), f"{tar}/{clip['key']}", tuple(map(int, clip["labels"])))
                for clip in clips
            ),
            starts=tuple(np.cumsum([0, *(len(clip["members"]) for clip in clips)]).tolist()),
            spans=np.array(spans, dtype=np.int64).reshape(-1, 2),
            skipped=tuple((str(i), str(p), str(r)) for i, p, r in facts["skipped"]),
        )
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise ValueError(f"{path}: not the index of a shard ({error!r}); {AGAIN}") from error
    fault = _fault(shard)
    if fault is not None:
        raise ValueError(f"{tar}: {fault}; {AGAIN}")
    return shard


def _fault(shard: Shard) -> str | None:
    if not shard.path.is_file():
        return "no such file"
    found = shard.path.stat().st_size
    if found != shard.size:
        return f"{found:,} bytes, its index says {shard.size:,}"
    if not all(map(is_key, shard.rows)) or len(shard.rows) < len(shard.items):
        return "its index has keys that no shard has"
    if any(high - low < 3 for low, high in zip(shard.starts, shard.starts[1:], strict=False)):
        return "its index has a clip without notes, sound or picture"
    return span_fault(shard.spans, size=shard.size)


def load_index(root: Path) -> dict[str, Any]:
    """Read the index of a whole folder, with name, classes, missing ids and shards of each split.

    Raises:
        ValueError: If it is missing, unfinished or not of this version.
    """
    index = read_json(root / INDEX)
    if index.get("version") != VERSION:
        raise ValueError(f"{root / INDEX}: not of version {VERSION}; {AGAIN}")
    if index.get("complete") is not True:
        raise ValueError(f"{root}: the shards are unfinished; start the same recipes.make_shards")
    for facts in index["splits"].values():
        for shard in facts["shards"]:
            if not re.fullmatch(r"[A-Za-z0-9_-]+\.tar", shard["file"]):
                raise ValueError(f"{root / INDEX}: {shard['file']!r} is no name of a shard")
    return index
