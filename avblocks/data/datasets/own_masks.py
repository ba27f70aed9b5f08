"""Reader of your own images with masks and audio."""

from dataclasses import replace
from pathlib import Path

from avblocks.data.datasets.clipset import ClipSet, Item, listed_set
from avblocks.data.datasets.disk import read_rows
from avblocks.data.datasets.own import PARTS, by_list, has_parts, prefixed
from avblocks.data.datasets.stills import still_items

CLASSES = "classes.txt"
"""Names of the classes in the masks, from 1 on."""


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
        ValueError: If a folder is missing, or no test clips are given.
    """
    root = Path(root)
    table = root / CLASSES
    names = [row[0] for _, row in read_rows(table, columns=1)] if table.is_file() else []
    classes = ("background", *names) if names else ()
    if has_parts(root):
        train, test = (prefixed(_masked(root / part, classes), part) for part in PARTS)
        return train, test
    if test_list is None:
        raise ValueError(
            f"{root}: which clips are the test? move frames, masks and audio into folders train "
            "and test, or give a list of the test clips (--data.test-list FILE)"
        )
    return by_list(_masked(root, classes), test_list)


def _masked(root: Path, classes: tuple[str, ...]) -> ClipSet:
    """List the images of a folder that have masks and audio."""
    items = {
        key: item and _with_mask(item, root / "masks" / f"{key}.png", binary=not classes)
        for key, item in still_items(root).items()
    }
    return listed_set(f"folder {root}", items, classes=classes)


def _with_mask(item: Item, mask: Path, *, binary: bool) -> Item | None:
    if not mask.is_file():
        return None
    return replace(item, images=(replace(item.images[0], mask=str(mask), binary=binary),))
