"""Reader of your own images with masks and audio."""

from dataclasses import replace
from pathlib import Path

from avblocks.data.datasets.clipset import ClipSet, Item, listed_set
from avblocks.data.datasets.disk import read_rows
from avblocks.data.datasets.own import PARTS, by_list, has_parts, prefixed
from avblocks.data.datasets.stills import still_items

CLASSES = "classes.txt"
"""Names of the classes in the masks, from 1 on."""
_BACKGROUND = "background"


def mask_folder(
    root: str | Path, *, test_list: str | Path | None = None
) -> tuple[ClipSet, ClipSet]:
    """List images with masks of the sounding objects and audio, to train and to test on.

    ``root/train`` and ``root/test`` each have ``frames/NAME.jpg`` (or png), ``masks/NAME.png`` of
    the same size, and ``audio/NAME.wav`` (or flac), at any depth. Without these two folders,
    ``root`` itself has ``frames``, ``masks`` and ``audio``, and ``test_list`` lists the test clips.
    Masks are binary: black is the background. With ``root/classes.txt``, one name per line, they
    are gray images of class numbers: 0 for the background, n for the class in line n.

    Args:
        root: The folder.
        test_list: A csv without header, with ids (paths below ``root``, without ``frames`` and
            suffix) in the first column.

    Returns:
        The clips that have all three files; incomplete ones count as missing. With classes, the
        first class is "background".

    Raises:
        ValueError: If a folder is missing, no test clips are given, or a class is named twice.
    """
    root = Path(root)
    table = root / CLASSES
    classes = _classes(table) if table.is_file() else ()
    if has_parts(root):
        train, test = (prefixed(_masked(root / part, classes), part) for part in PARTS)
        return train, test
    if test_list is None:
        raise ValueError(
            f"{root}: which clips are the test? move frames, masks and audio into folders train "
            "and test, or give a list of the test clips (--data.test-list FILE)"
        )
    return by_list(_masked(root, classes), test_list)


def _classes(table: Path) -> tuple[str, ...]:
    """Read the names of the classes, and add the background, whose number is 0."""
    names = [_BACKGROUND, *(row[0] for _, row in read_rows(table, columns=1))]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        why = ", number 0, is not listed" if twice == _BACKGROUND else " is in two lines"
        raise ValueError(f"{table}: the class {twice!r}{why}; line n names class number n")
    return tuple(names) if len(names) > 1 else ()


def _masked(root: Path, classes: tuple[str, ...]) -> ClipSet:
    """List the images of a folder that have masks and audio."""
    items: dict[str, Item | None] = {}
    lacking: list[Path] = []
    for key, item in still_items(root).items():
        mask = root / "masks" / f"{key}.png"
        items[key] = item and _with_mask(item, mask, binary=not classes)
        lacking += [mask] if item and not items[key] else []
    remarks = (f"{len(lacking)} without a mask, such as {lacking[0]}",) if lacking else ()
    return listed_set(f"folder {root}", items, classes=classes, remarks=remarks)


def _with_mask(item: Item, mask: Path, *, binary: bool) -> Item | None:
    if not mask.is_file():
        return None
    return replace(item, images=(replace(item.images[0], mask=str(mask), binary=binary),))
