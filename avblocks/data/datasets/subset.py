"""Part of a data set, as published lists of ids name it."""

from pathlib import Path

from avblocks.data.datasets.clipset import ClipSet, listed_set
from avblocks.data.datasets.disk import read_ids


def subset(clips: ClipSet, table: str | Path) -> ClipSet:
    """Keep the clips that a csv lists by id in its first column.

    VGG-SS has such lists for heard and unheard classes; with ``per_frame`` it gives the frames that
    ``avsbench_val.csv`` lists.

    Args:
        clips: The data set.
        table: The csv, without header; further columns are not read.

    Returns:
        The clips in the order of the csv; ids that the data set does not have are missing.

    Raises:
        ValueError: If the csv is missing or wrong.
    """
    table = Path(table)
    items = {item.id: item for item in clips.items}
    return listed_set(
        f"{clips.name}, {table.stem}",
        {key: items.get(key) for key in read_ids(table)},
        classes=clips.classes,
        remarks=clips.remarks,
    )
