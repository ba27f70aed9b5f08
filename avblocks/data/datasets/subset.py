"""Subsets of a data set by published lists of ids."""

from pathlib import Path

from avblocks.data.datasets.clipset import ClipSet, listed_set
from avblocks.data.datasets.disk import read_ids


def subset(clips: ClipSet, table: str | Path) -> ClipSet:
    """Select the clips whose ids are in the first column of a csv without header, in its order.

    Ids that the data set lacks are missing. Remarks on the whole set are kept only if no clip is
    found, which they may explain; then a remark compares the ids. VGG-SS has such lists for heard
    and unheard classes; after ``per_frame``, the function selects the frames listed in
    ``avsbench_val.csv``.

    Raises:
        ValueError: If the csv is missing or wrong.
    """
    table = Path(table)
    items = {item.id: item for item in clips.items}
    kept = {key: items.get(key) for key in read_ids(table)}
    remarks = () if any(kept.values()) else clips.remarks
    if clips.items and kept and not any(kept.values()):
        remarks = (*remarks, f"its ids are such as {next(iter(kept))}, not {clips.items[0].id}")
    return listed_set(f"{clips.name}, {table.stem}", kept, classes=clips.classes, remarks=remarks)
