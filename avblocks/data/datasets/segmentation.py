"""What the three parts of AVSBench share: a sound, pictures at known times, and their masks."""

from collections.abc import Callable, Iterator
from pathlib import Path

from avblocks.data.datasets.annotations import read_table
from avblocks.data.datasets.clipset import ClipSet, Item, Picture

SPLITS = ("train", "val", "test")


def split_rows(table: Path, *, columns: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    """Read a csv file whose lines are of splits, see ``read_table``.

    Args:
        table: The file.
        columns: Columns that it must have besides ``split``.

    Yields:
        The line number and the fields by column.

    Raises:
        ValueError: If the file is missing or wrong, or a line is of no split there is.
    """
    for line, row in read_table(table, columns=(*columns, "split")):
        if row["split"] not in SPLITS:
            raise ValueError(
                f"{table}, line {line}: unknown split {row['split']!r}; expected one of "
                f"{', '.join(SPLITS)}"
            )
        yield line, row


def segmented(
    name: str, *, wanted: dict[str, Item], classes: tuple[str, ...], usual: Callable[[str], int]
) -> ClipSet:
    """Keep the clips that have their sound, a picture and a mask.

    Args:
        name: Of the data set and split.
        wanted: The listed clips, with what pictures and masks there are.
        classes: Class names.
        usual: How many pictures a clip should have, by its id.

    Returns:
        The data set; its report says if clips have fewer pictures than published.
    """
    whole = {
        key: item
        for key, item in wanted.items()
        if any(picture.mask for picture in item.pictures) and Path(item.path).is_file()
    }
    few = sum(len(item.pictures) < usual(key) for key, item in whole.items())
    return ClipSet(
        name=name,
        items=tuple(whole.values()),
        classes=classes,
        missing=tuple(key for key in wanted if key not in whole),
        remarks=(f"{few} clips have fewer pictures than published",) if few else (),
    )


def find_pictures(
    frame: Callable[[int], Path],
    mask: Callable[[int], Path],
    *,
    numbers: range,
    later: float,
    binary: bool,
) -> tuple[Picture, ...]:
    """Find the numbered pictures of a clip, and the masks that some or all of them have.

    Args:
        frame: Where the picture of a number would be.
        mask: Where its mask would be.
        numbers: The numbers there may be, one a second.
        later: When a picture is shown: so many seconds after its number.
        binary: Whether the masks have one class.

    Returns:
        Those on disk.
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
