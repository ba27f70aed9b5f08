"""AudioSet: ten-second clips with one or more of 527 labels, as its csv files are published."""

import re
from pathlib import Path
from typing import Literal

from avblocks.data.datasets.annotations import class_numbers
from avblocks.data.datasets.clipset import ClipSet, labeled_set
from avblocks.data.datasets.disk import files_by_id, read_rows

_TABLES = {
    "balanced": "balanced_train_segments.csv",
    "unbalanced": "unbalanced_train_segments.csv",
    "eval": "eval_segments.csv",
}
# ID, then possibly its start (and end) in seconds or milliseconds; a leading Y keeps ids from "-".
_STEM = re.compile(r"Y?(?P<id>.{11})(?:_\d+(?:\.\d+)?){0,2}")


def audioset(root: str | Path, *, split: Literal["balanced", "unbalanced", "eval"]) -> ClipSet:
    """List one split of AudioSet.

    ``root`` holds ``class_labels_indices.csv`` and the split's segments csv, as published, and
    anywhere below it the clips: ``ID.mp4``, ``YID.mp4``, ``ID_START.mp4`` or ``ID_START_END.mp4``.

    Returns:
        The clips in the order of the csv, with the published class numbers and display names.

    Raises:
        ValueError: If a table or the clips are missing, or a line is wrong.

    Source: Gemmeke et al., "Audio Set: an ontology and human-labeled dataset for audio events"
    (ICASSP 2017).
    """
    root = Path(root)
    numbers, classes = _classes(root / "class_labels_indices.csv")
    table = root / _TABLES[split]
    labels = {
        key: class_numbers(
            names.split(","),
            numbers,
            where=f"{table}, line {line}",
            kind="labels",
            remedy="class_labels_indices.csv beside it does not list them",
        )
        for line, (key, _, _, names) in read_rows(table, columns=4)
    }
    return labeled_set(f"audioset {split}", labels, files_by_id(root, _STEM), classes=classes)


def _classes(table: Path) -> tuple[dict[str, int], tuple[str, ...]]:
    """Number of each label, and the names to show."""
    numbers, names = {}, []
    for line, (index, mid, name) in read_rows(table, columns=3):
        if index == "index":
            continue
        if index != str(len(names)):
            raise ValueError(f"{table}, line {line}: expected index {len(names)}, got {index!r}")
        numbers[mid] = len(names)
        names.append(name)
    return numbers, tuple(names)
