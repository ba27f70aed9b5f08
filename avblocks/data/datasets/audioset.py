"""Reader of AudioSet: ten-second clips with one or more of 527 labels."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from avblocks.data.datasets.annotations import class_numbers
from avblocks.data.datasets.clipset import ClipSet, labeled_set
from avblocks.data.datasets.disk import read_rows
from avblocks.data.datasets.segments import Segment, find_clips, numbered, youtube_id
from avblocks.shapes import require_choice

_TABLES = {
    "balanced": "balanced_train_segments.csv",
    "unbalanced": "unbalanced_train_segments.csv",
    "eval": "eval_segments.csv",
}


def audioset(root: str | Path, *, split: Literal["balanced", "unbalanced", "eval"]) -> ClipSet:
    """List one split of AudioSet.

    ``root`` contains ``class_labels_indices.csv`` and the segments csv of the split, as published,
    and, at any depth, the clips: ``ID.mp4``, ``YID.mp4``, ``ID_START.mp4`` or
    ``ID_START_END.mp4``, in seconds or milliseconds, or audio and images with these names, see
    ``stills``. If a video has several segments, each is a clip with the id ``ID_START``.

    Returns:
        The clips in the order of the csv, with the published class numbers and display names.

    Raises:
        ValueError: If a table or the clips are missing, or a line is wrong.

    Source: Gemmeke et al., "Audio Set: an ontology and human-labeled dataset for audio events"
    (ICASSP 2017).
    """
    root = Path(root)
    require_choice(*_TABLES, split=split)
    numbers, classes = _classes(root / "class_labels_indices.csv")
    table = root / _TABLES[split]
    listed = _segments(table, numbers)
    names = numbered(listed)
    known = {name: segment for segment, name in names.items()}
    labels, found = {names[s]: numbers for s, numbers in listed.items()}, find_clips(root, known)
    return labeled_set(
        f"audioset {split}",
        labels,
        found.items,
        classes=classes,
        remarks=found.remarks(known),
    )


def _segments(table: Path, numbers: Mapping[str, int]) -> dict[Segment, tuple[int, ...]]:
    """Read the segments of a split and their class numbers."""
    listed: dict[Segment, tuple[int, ...]] = {}
    for line, (video, start, _, names) in read_rows(table, columns=4):
        where = f"{table}, line {line}"
        labels = class_numbers(
            list(dict.fromkeys(names.split(","))),
            numbers,
            where=where,
            kind="labels",
            remedy="class_labels_indices.csv beside it does not list them",
        )
        segment = Segment(youtube_id(video, where=where), _seconds(start, where=where))
        if set(listed.setdefault(segment, labels)) != set(labels):
            raise ValueError(f"{where}: {video} from {start} s has other labels before; delete one")
    return listed


def _seconds(text: str, *, where: str) -> float:
    if not re.fullmatch(r"\d+(\.\d+)?", text):
        raise ValueError(f"{where}: expected the second at which it starts, got {text!r}")
    return float(text)


def _classes(table: Path) -> tuple[dict[str, int], tuple[str, ...]]:
    """Read the number of each label, and the display names."""
    numbers, names = {}, []
    for line, (index, mid, name) in read_rows(table, columns=3):
        if index == "index":
            continue
        if index != str(len(names)):
            raise ValueError(f"{table}, line {line}: expected index {len(names)}, got {index!r}")
        numbers[mid] = len(names)
        names.append(name)
    return numbers, tuple(names)
