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
        ValueError: If a folder is missing, no test clips are given, a class is named twice or a
            line before a class is blank, or a clip has several images.
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
    lines = list(read_rows(table, columns=1))
    for number, (line, (name,)) in enumerate(lines, start=1):
        if line != number:
            raise ValueError(
                f"{table}, line {number}: blank or a comment, before the class {name!r}; line n "
                "names class number n: delete it, or name a class that has no pixels"
            )
    names = [_BACKGROUND, *(row[0] for _, row in lines)]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        why = ", number 0, is not listed" if twice == _BACKGROUND else " is in two lines"
        raise ValueError(f"{table}: the class {twice!r}{why}; line n names class number n")
    return tuple(names) if len(names) > 1 else ()


def _masked(root: Path, classes: tuple[str, ...]) -> ClipSet:
    """List the images of a folder that have masks and audio."""
    items: dict[str, Item | None] = {}
    lacking: list[Path] = []
    there = still_items(root)
    halves = [key for key, item in there.items() if item is None]
    for key, item in there.items():
        mask = root / "masks" / f"{key}.png"
        items[key] = item and _with_mask(item, mask, binary=not classes)
        lacking += [mask] if item and not items[key] else []
    remarks = (f"{len(lacking)} without a mask, such as {lacking[0]}",) if lacking else ()
    if halves:
        alone = "have a frame or audio of their name, not both"
        remarks = (*remarks, f"{len(halves)} {alone}, such as {halves[0]}")
    return listed_set(f"folder {root}", items, classes=classes, remarks=remarks)


def _with_mask(item: Item, mask: Path, *, binary: bool) -> Item | None:
    if not mask.is_file():
        return None
    if item.images[0].part is not None:
        raise ValueError(
            f"{mask}: belongs to one image, and folders frame_0, frame_1, ... are images of a "
            "whole video; give each image with a mask a name, and audio of that name"
        )
    return replace(item, images=(replace(item.images[0], mask=str(mask), binary=binary),))
