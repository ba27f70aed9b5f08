"""Reader of your own videos with boxes."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from avblocks.data.datasets.annotations import checked_box, has_area, read_table
from avblocks.data.datasets.clipset import Box, ClipSet, Item, listed_set
from avblocks.data.datasets.disk import plain_name, read_ids
from avblocks.data.datasets.folder import folder
from avblocks.data.datasets.own import has_parts
from avblocks.data.datasets.own_checks import require_spelling

BOXES = "boxes.csv"
"""Table of the boxes, in the folder of the videos."""
_SIDES = ("left", "top", "right", "bottom")


def box_folder(root: str | Path, *, test_list: str | Path | None = None) -> tuple[ClipSet, ClipSet]:
    """List videos to train on, and videos with boxes of the sounding objects to test on.

    ``root/boxes.csv`` has a header with the columns ``file`` (path below ``root``), ``left``,
    ``top``, ``right`` and ``bottom``, relative to the sides of the frame in the middle of the
    video, from 0 to 1, and possibly ``class``. A file may be in several lines, of one class or of
    several; a line without numbers means that no source is visible. All other videos are for
    training, or those in ``root/train``, if ``root`` has the folders ``train`` and ``test``. Boxes
    in ``root/train`` are not used; files outside of both folders count as missing.

    Args:
        root: The folder.
        test_list: A csv of those files of ``boxes.csv`` to test on; the others are not used.

    Raises:
        ValueError: If the csv is missing or wrong, or the folder contains no video.
    """
    root = Path(root)
    boxes, names = _boxes(root / BOXES)
    classes = tuple(sorted({name for found in names.values() for name in found}))
    videos = {item.id: item for item in folder(root).items}
    require_spelling(boxes, videos, table=root / BOXES)
    apart = has_parts(root)
    train = {k: v for k, v in videos.items() if (_first(k) == "train" if apart else k not in boxes)}
    test = {
        key: _labeled(videos.get(key), some, names[key], classes)
        for key, some in boxes.items()
        if not apart or _first(key) != "train"
    }
    if test_list is not None:
        listed = read_ids(Path(test_list))
        if test.keys().isdisjoint(listed):
            like = min(test, default="those of videos")
            raise ValueError(f"{test_list}: lists no file of {BOXES}; ids are paths such as {like}")
        test = {key: test.get(key) for key in listed}
    return listed_set(f"folder {root} train", train), listed_set(
        f"folder {root} test", test, classes=classes
    )


def _boxes(table: Path) -> tuple[dict[str, tuple[Box, ...]], dict[str, set[str]]]:
    """Read the boxes and the classes of each file."""
    boxes: dict[str, tuple[Box, ...]] = {}
    names: dict[str, set[str]] = {}
    for where, row in _rows(table):
        if not row["file"]:
            raise ValueError(f"{where}: names no file: {row}; correct it")
        key = Path(row["file"]).as_posix()
        sides = [row[side] for side in _SIDES]
        if key in boxes and not (any(sides) and boxes[key]):
            raise ValueError(
                f"{where}: {key} has a line without numbers, which means that no source is "
                "visible, and another line; delete one"
            )
        boxes[key] = boxes.get(key, ()) + ((_box(sides, where=where),) if any(sides) else ())
        name = row.get("class")
        names.setdefault(key, set()).update({plain_name(name, where=where)} if name else ())
    return boxes, names


def _rows(table: Path) -> Iterator[tuple[str, Mapping[str, str]]]:
    for line, row in read_table(table, columns=("file", *_SIDES)):
        yield f"{table}, line {line}", row


def _box(sides: list[str], *, where: str) -> Box:
    try:
        values = [float(side) for side in sides]
    except ValueError as error:
        raise ValueError(f"{where}: left, top, right, bottom must be numbers: {sides}") from error
    box = checked_box(values, where=f"{where}, relative to the sides, from 0 to 1")
    if not has_area(box):
        raise ValueError(f"{where}: the box {values} encloses nothing; correct it")
    return box


def _labeled(
    item: Item | None, boxes: tuple[Box, ...], names: set[str], classes: tuple[str, ...]
) -> Item | None:
    labels = tuple(sorted(map(classes.index, names)))
    return item and replace(item, boxes=boxes, labels=labels)


def _first(key: str) -> str:
    return key.partition("/")[0]
