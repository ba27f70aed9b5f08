"""Part of a data set, as published lists of ids name it."""

from pathlib import Path

from avblocks.data.datasets.clipset import ClipSet, listed_set
from avblocks.data.datasets.disk import read_ids


def subset(clips: ClipSet, table: str | Path) -> ClipSet:
    """Keep the clips that a csv without header lists by id in its first column, in its order.

    Ids that the data set does not have are missing; remarks on the whole set are left out, unless
    nothing is found, which they may explain. VGG-SS has such lists for heard and unheard
    classes; with ``per_frame`` it gives the frames that ``avsbench_val.csv`` lists.

    Raises:
        ValueError: If the csv is missing or wrong.
    """
    table = Path(table)
    items = {item.id: item for item in clips.items}
    kept = {key: items.get(key) for key in read_ids(table)}
    remarks = () if any(kept.values()) else clips.remarks
    return listed_set(f"{clips.name}, {table.stem}", kept, classes=clips.classes, remarks=remarks)
