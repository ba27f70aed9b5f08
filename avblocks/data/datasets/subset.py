"""Part of a data set, as published lists of ids name it."""

from dataclasses import replace
from pathlib import Path

from avblocks.data.datasets.clipset import ClipSet
from avblocks.data.datasets.disk import read_rows


def subset(clips: ClipSet, table: str | Path) -> ClipSet:
    """Keep the clips that a csv lists by id in its first column.

    VGG-SS has such lists for heard and unheard classes; with ``per_frame`` it gives the frames that
    ``avsbench_val.csv`` lists.

    Args:
        clips: The data set.
        table: The csv, without header; further columns are not read.

    Returns:
        The clips in the order of the csv; what it lists and the data set has not is missing.

    Raises:
        ValueError: If the csv is missing or wrong.
    """
    table = Path(table)
    wanted = list(dict.fromkeys(row[0] for _, row in read_rows(table, columns=None)))
    items = {item.id: item for item in clips.items}
    return replace(
        clips,
        name=f"{clips.name}, {table.stem}",
        items=tuple(items[key] for key in wanted if key in items),
        missing=tuple(key for key in wanted if key not in items),
    )
