"""`Shard`: a tar file of clips and its index."""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from avblocks.data.datasets.clipset import Item
from avblocks.data.shards.files import AGAIN
from avblocks.data.shards.tar import (
    Span,
    Spans,
    are_suffixes,
    frame_suffixes,
    header,
    is_key,
    member_names,
    read_bytes,
    span_fault,
)
from avblocks.files import sha256
from avblocks.jsonfile import Shape, read_json

_CLIP: Shape = {"key": str, "id": str, "labels": [int], "members": list}
_SHARD: Shape = {"bytes": int, "sha256": str, "clips": [_CLIP], "skipped": [[str]]}


@dataclass(frozen=True, eq=False)
class Shard:
    """One tar file and its index.

    Attributes:
        path: The tar file.
        size: Size of the tar file in bytes.
        sha256: Checksum of the tar file.
        index_sha256: Checksum of the index.
        rows: Row number of each clip by key, in order.
        items: The clips as items of a data set.
        suffixes: Suffixes of the images and masks of each clip.
        starts: Index in ``spans`` of the first member of each clip, and the end of the last.
        spans: Offset, size and checksum of all members.
        skipped: Id, path and reason of each skipped file.
    """

    path: Path
    size: int
    sha256: str
    index_sha256: str
    rows: dict[str, int]
    items: tuple[Item, ...]
    suffixes: tuple[tuple[str, ...], ...]
    starts: tuple[int, ...]
    spans: Spans
    skipped: tuple[tuple[str, str, str], ...]

    def members(self, key: str) -> list[Span]:
        """Return the spans of the members of a clip: notes, audio, images."""
        row = self.rows[key]
        return [
            Span(*span) for span in self.spans[self.starts[row] : self.starts[row + 1]].tolist()
        ]

    def verify(self) -> None:
        """Read the whole file, and compare its checksum and each header with the index.

        Raises:
            ValueError: If anything differs.
        """
        if sha256(self.path) != self.sha256:
            raise ValueError(f"{self.path}: damaged, its sha256 is not that of its index; {AGAIN}")
        handle = os.open(self.path, os.O_RDONLY)
        try:
            for key in self.rows:
                names = member_names(key, self.suffixes[self.rows[key]])
                for name, span in zip(names, self.members(key), strict=True):
                    wanted = header(name, span.size)
                    if read_bytes(handle, span.start - len(wanted), len(wanted)) != wanted:
                        raise ValueError(f"{self.path}: its index says {name} where it is not")
        finally:
            os.close(handle)


def load_shard(tar: Path, *, classes: int) -> Shard:
    """Read the index of a tar file, and check it against the size of the file.

    Args:
        tar: The tar file.
        classes: Number of classes, the bound of the labels.

    Raises:
        ValueError: If either file is missing or a link out of the folder, or they do not match.
    """
    for name in (tar, tar.with_suffix(".json")):
        if name.resolve().parent != tar.parent.resolve():
            raise ValueError(f"{name}: leads out of its folder; copy the file itself there")
    path = tar.with_suffix(".json")
    index = read_json(path, _SHARD, remedy=AGAIN)
    try:
        clips = index["clips"]
        spans = [span for clip in clips for span in clip["members"]]
        shard = Shard(
            path=tar,
            size=index["bytes"],
            sha256=index["sha256"],
            index_sha256=sha256(path),
            rows={clip["key"]: row for row, clip in enumerate(clips)},
            items=tuple(_item(clip, tar) for clip in clips),
            suffixes=tuple(map(_suffixes, clips)),
            starts=tuple(np.cumsum([0, *(len(clip["members"]) for clip in clips)]).tolist()),
            spans=np.array(spans, dtype=np.int64).reshape(-1, 3),
            skipped=tuple((i, p, r) for i, p, r in index["skipped"]),
        )
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"{path}: not the index of a shard ({error!r}); {AGAIN}") from error
    fault = _fault(shard, classes)
    if fault is not None:
        raise ValueError(f"{tar}: {fault}; {AGAIN}")
    return shard


def _item(clip: Mapping[str, Any], tar: Path) -> Item:
    """Make the item of a clip; indices of older shards have no boxes."""
    boxes = clip.get("boxes")
    if boxes is not None:
        boxes = tuple((float(a), float(b), float(c), float(d)) for a, b, c, d in boxes)
        if not all(math.isfinite(side) for box in boxes for side in box):
            raise ValueError(f"a box of {clip['id']} is not finite")
    path = tar.parent / clip["of"] if "of" in clip else tar / clip["key"]
    return Item(clip["id"], str(path), tuple(clip["labels"]), boxes=boxes)


def _suffixes(clip: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the suffixes of the images and masks of a clip; the index has none for videos."""
    suffixes = tuple(map(str, clip.get("suffixes", frame_suffixes(len(clip["members"]) - 2))))
    if len(suffixes) != len(clip["members"]) - 2 or not are_suffixes(suffixes):
        raise ValueError(f"the suffixes of {clip['id']} do not fit its members")
    return suffixes


def _fault(shard: Shard, classes: int) -> str | None:
    if not shard.path.is_file():
        return "no such file"
    size = shard.path.stat().st_size
    if size != shard.size:
        return f"{size:,} bytes, its index says {shard.size:,}"
    if not all(map(is_key, shard.rows)) or len(shard.rows) < len(shard.items):
        return "its index has keys that no shard has"
    if not all(0 <= label < classes for item in shard.items for label in item.labels):
        return f"its index has a label outside of the {classes} classes"
    if any(high - low < 3 for low, high in zip(shard.starts, shard.starts[1:], strict=False)):
        return "its index has a clip without notes, audio or image"
    return span_fault(shard.spans, size=shard.size)
