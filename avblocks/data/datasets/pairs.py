"""Published pairs of clips whose audio is mixed, for tests of sound separation."""

import re
from dataclasses import dataclass
from pathlib import Path

from avblocks.data.datasets.annotations import read_table
from avblocks.data.datasets.clipset import ClipSet, Item, count_line

COLUMNS = ("source_1", "source_2", "class_1", "class_2", "sep_type")


@dataclass(frozen=True, slots=True)
class Pair:
    """Two clips to mix, and the difficulty in the list: Easy or Hard in VGGSound-Music."""

    first: Item
    second: Item
    difficulty: str


@dataclass(frozen=True)
class PairSet:
    """The pairs of a list whose clips are both on disk.

    Attributes:
        name: Name of the data set and the list.
        pairs: The pairs.
        classes: Class names; the labels of the clips index them.
        missing: Ids of the pairs that are not on disk, joined by a plus sign.
    """

    name: str
    pairs: tuple[Pair, ...]
    classes: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.pairs)

    def report(self) -> str:
        """Return a line with the numbers of pairs listed, on disk and missing."""
        return count_line(self.name, "pairs", found=len(self.pairs), missing=self.missing)


def pairs(clips: ClipSet, table: str | Path) -> PairSet:
    """Pair clips by a csv with the columns ``source_1, source_2, class_1, class_2, sep_type``.

    The csv has a header; its sources are ids of the data set ``clips``. Pairs are in its order.

    Raises:
        ValueError: If the csv is missing or wrong, or a class differs from that of the data set.
    """
    table = Path(table)
    items = {item.id: item for item in clips.items}
    found, missing = [], []
    for line, row in read_table(table, columns=COLUMNS):
        both = [items.get(row[source]) for source in COLUMNS[:2]]
        for item, name in zip(both, (row["class_1"], row["class_2"]), strict=True):
            if item is not None and class_key(name) not in _keys(clips, item):
                raise ValueError(
                    f"{table}, line {line}: class {name!r} for {item.id}, whose classes are "
                    f"{_keys(clips, item)}; it is not the list of {clips.name}"
                )
        first, second = both
        if first is None or second is None:
            missing.append(f"{row['source_1']}+{row['source_2']}")
        else:
            found.append(Pair(first=first, second=second, difficulty=row["sep_type"]))
    name = f"{clips.name}, {table.stem}"
    return PairSet(name, tuple(found), clips.classes, tuple(missing))


def class_key(name: str) -> str:
    """Normalize the spelling of a class name: "playing violin, fiddle" -> violin_fiddle.

    >>> class_key("playing violin, fiddle"), class_key("violin,_fiddle")
    ('violin_fiddle', 'violin_fiddle')
    """
    return re.sub(r"[\W_]+", "_", name.lower()).strip("_").removeprefix("playing_")


def _keys(clips: ClipSet, item: Item) -> list[str]:
    """Return the normalized names of the classes of a clip."""
    return [class_key(clips.classes[label]) for label in item.labels]
