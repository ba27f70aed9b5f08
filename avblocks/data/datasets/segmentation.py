"""What the three parts of AVSBench share: a sound, pictures at known times, and their masks."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from avblocks.data.datasets.annotations import read_table
from avblocks.data.datasets.clipset import ClipSet, Item, Picture, listed_set

SPLITS = ("train", "val", "test")


def split_rows(
    table: Path, *, columns: tuple[str, ...], id: str | None = None
) -> Iterator[tuple[int, dict[str, str]]]:
    """Read a csv file that also has a column ``split``, see ``read_table``.

    Raises:
        ValueError: If the file is missing or wrong, a line is of no split there is, or two lines
            have one id, which is in the column ``id`` or the first one.
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
    """Keep the clips that have their sound, a picture and a mask.

    The report says if clips have fewer pictures than the published ``counts`` by their ids.
    """
    whole = {
        key: item if any(p.mask for p in item.pictures) and Path(item.path).is_file() else None
        for key, item in wanted.items()
    }
    few = sum(len(item.pictures) < counts[key] for key, item in whole.items() if item is not None)
    remarks = (f"{few} clips have fewer pictures than published",) if few else ()
    if wanted and not any(whole.values()):
        remarks = (f"looked for files such as {next(iter(wanted.values())).path}",)
    return listed_set(name, whole, classes=classes, remarks=remarks)


def find_pictures(
    frame: Callable[[int], Path],
    mask: Callable[[int], Path],
    *,
    numbers: range,
    later: float,
    binary: bool,
) -> tuple[Picture, ...]:
    """Find the numbered pictures of a clip that are on disk, with their masks where they have any.

    ``frame`` and ``mask`` give the paths for a number; picture n is shown at n + ``later`` seconds.
    """
    return tuple(
        Picture(
            path=str(frame(number)),
            time=number + later,
            mask=str(mask(number)) if mask(number).is_file() else None,
            binary=binary,
        )
        for number in numbers
        if frame(number).is_file()
    )
