"""Code shared by the readers of AVSBench: audio, images at known times, and their masks."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from avblocks.data.datasets.annotations import read_table
from avblocks.data.datasets.clipset import ClipSet, Item, StillImage, listed_set

SPLITS = ("train", "val", "test")


def split_rows(
    table: Path, *, columns: tuple[str, ...], id: str | None = None
) -> Iterator[tuple[int, dict[str, str]]]:
    """Read a csv file with a column ``split``, see ``read_table``.

    Raises:
        ValueError: If the file is missing or wrong, a split is unknown, or two lines have the same
            id, which is in the column ``id`` or the first one.
    """
    seen: dict[str, int] = {}
    for line, row in read_table(table, columns=(*columns, "split")):
        key = row[id] if id else next(iter(row.values()))
        if seen.setdefault(key, line) != line:
            raise ValueError(f"{table}, line {line}: {key} is in line {seen[key]} too; delete one")
        if row["split"] not in SPLITS:
            raise ValueError(
                f"{table}, line {line}: unknown split {row['split']!r}; expected one of "
                f"{', '.join(SPLITS)}"
            )
        yield line, row


def segmented(
    name: str, wanted: Mapping[str, Item], *, classes: tuple[str, ...], counts: Mapping[str, int]
) -> ClipSet:
    """Build a clip set of the clips that have audio, an image and a mask on disk.

    A remark counts the clips with fewer images than ``counts``, the published number by id.
    """
    whole = {
        key: item if any(p.mask for p in item.images) and Path(item.path).is_file() else None
        for key, item in wanted.items()
    }
    few = sum(len(item.images) < counts[key] for key, item in whole.items() if item is not None)
    remarks = (f"{few} clips have fewer images than published",) if few else ()
    if wanted and not any(whole.values()):
        remarks = (f"looked for files such as {next(iter(wanted.values())).path}",)
    return listed_set(name, whole, classes=classes, remarks=remarks)


def find_images(
    frame: Callable[[int], Path],
    mask: Callable[[int], Path],
    *,
    numbers: range,
    later: float,
    binary: bool,
) -> tuple[StillImage, ...]:
    """Find the numbered images of a clip that are on disk, with their masks if there are any.

    ``frame`` and ``mask`` return the paths of a number; the time of image n is n + ``later``
    seconds.
    """
    return tuple(
        StillImage(
            path=str(frame(number)),
            time=number + later,
            mask=str(mask(number)) if mask(number).is_file() else None,
            binary=binary,
        )
        for number in numbers
        if frame(number).is_file()
    )
