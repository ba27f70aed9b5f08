"""Reader of AVSBench-semantic (AVSS): S4, MS3 and new clips with masks of 71 classes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from avblocks.data.datasets.annotations import AGAIN, class_numbers
from avblocks.data.datasets.clipset import ClipSet, Item
from avblocks.data.datasets.disk import plain_name
from avblocks.data.datasets.segmentation import find_images, segmented, split_rows
from avblocks.jsonfile import read_json
from avblocks.shapes import require_choice

TABLE = "metadata.csv"
SPLITS = ("train", "val", "test")
_COUNTS = {"v1s": 5, "v1m": 5, "v2": 10}
_LATER = 0.5  # numbers begin at 0; the paper's code takes an image as the middle of its second
_UNSEEN = "off-the-screen"


def avsbench_avss(root: str | Path, *, split: Literal["train", "val", "test"]) -> ClipSet:
    """List one split of AVSBench AVSS.

    ``root`` contains ``metadata.csv`` (``uid``, ``a_obj``, ``split``, ``label`` and others),
    ``label2idx.json`` and for each row the folder ``LABEL/UID``, with label v1s, v1m or v2:
    ``audio.wav``, ``frames/n.jpg`` and ``labels_semantic/n.png`` with class numbers as gray values,
    for n from 0 to 4, or to 9 in v2.

    Returns:
        The clips in the order of the csv, each with several images; ``per_frame`` splits them into
        one clip per image with a mask. Classes are those of the JSON file, by number, background
        first.

    Raises:
        ValueError: If the csv or the JSON file is missing or wrong.

    Source: Zhou et al., "Audio-visual segmentation with semantics" (IJCV 2024).
    """
    root = Path(root)
    require_choice(*SPLITS, split=split)
    classes = _classes(root / "label2idx.json")
    number = {name: index for index, name in enumerate(classes)}
    wanted, counts = {}, {}
    for where, row in _rows(root / TABLE):
        labels = _labels(row, number=number, where=where)
        if row["split"] == split:
            counts[row["uid"]] = _COUNTS[row["label"]]
            wanted[row["uid"]] = _item(root, row, labels=labels, binary=False)
    return segmented(f"avsbench-avss {split}", wanted, classes=classes, counts=counts)


def objects(root: Path, *, name: str, split: str, label: Literal["v1s", "v1m"]) -> ClipSet:
    """List the clips of S4 (``v1s``) or MS3 (``v1m``) in a copy of AVSS, with binary masks.

    Returns:
        The clips in the order of the csv. Classes of S4 are its objects, in alphabetical order.

    Raises:
        ValueError: If the csv is missing or wrong.
    """
    rows = [row for _, row in _rows(root / TABLE) if row["label"] == label]
    classes = tuple(sorted({row["a_obj"] for row in rows})) if label == "v1s" else ()
    wanted = {
        row["uid"]: _item(
            root, row, labels=(classes.index(row["a_obj"]),) if classes else (), binary=True
        )
        for row in rows
        if row["split"] == split
    }
    counts = dict.fromkeys(wanted, _COUNTS[label])
    return segmented(f"{name} {split}", wanted, classes=classes, counts=counts)


def _rows(table: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield file and line number of each row, for errors, and its fields."""
    for line, row in split_rows(table, columns=("uid", "a_obj", "label"), id="uid"):
        where = f"{table}, line {line}"
        plain_name(row["uid"], where=where)
        if row["label"] not in _COUNTS:
            expected = f"expected one of {', '.join(_COUNTS)}"
            raise ValueError(f"{where}: unknown label {row['label']!r}; {expected}")
        yield where, row


def _classes(path: Path) -> tuple[str, ...]:
    """Read the class names in order; published numbers begin at 1, those in masks at 0."""
    content = read_json(path, {"*": int}, remedy=AGAIN)
    if not content:
        raise ValueError(f'{path}: expected {{"class": number}}')
    numbers, count = list(content.values()), len(content)
    if sorted(numbers) not in (list(range(count)), list(range(1, count + 1))):
        raise ValueError(f"{path}: expected numbers from 0 or 1 on without gap, got {numbers}")
    return tuple(sorted(content, key=content.__getitem__))


def _labels(row: dict[str, str], *, number: dict[str, int], where: str) -> tuple[int, ...]:
    """Return the class numbers of the visible sources."""
    return class_numbers(
        [name for name in row["a_obj"].split("_") if name != _UNSEEN],
        number,
        where=where,
        kind="classes",
        remedy="label2idx.json beside it does not list them",
    )


def _item(root: Path, row: dict[str, str], *, labels: tuple[int, ...], binary: bool) -> Item:
    """Build the item of a clip."""
    folder = root / row["label"] / row["uid"]
    images = find_images(
        lambda number: folder / "frames" / f"{number}.jpg",
        lambda number: folder / "labels_semantic" / f"{number}.png",
        numbers=range(_COUNTS[row["label"]]),
        later=_LATER,
        binary=binary,
    )
    return Item(id=row["uid"], path=str(folder / "audio.wav"), labels=labels, images=images)
