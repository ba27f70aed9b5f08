"""Your own videos: their split into training and test clips."""

from dataclasses import replace
from pathlib import Path

from avblocks.data.datasets.clipset import ClipSet
from avblocks.data.datasets.disk import read_ids
from avblocks.data.datasets.folder import folder
from avblocks.data.datasets.holdout import hold_out
from avblocks.data.datasets.own_checks import refuse_splits, require_spelling, shared_files

PARTS = ("train", "test")
"""Names of the folders of the training and the test clips."""


def has_parts(root: str | Path) -> bool:
    """Return whether a folder is split into the folders ``train`` and ``test``."""
    return all((Path(root) / part).is_dir() for part in PARTS)


def class_folder(
    root: str | Path, *, test_list: str | Path | None = None
) -> tuple[ClipSet, ClipSet]:
    """List the training and test videos of a folder with a folder for each class.

    The test clips are the first of these that apply: those in ``root/test``, if ``root`` has the
    folders ``train`` and ``test``, each with the folders of classes; those in ``test_list``; or a
    fifth of each class, see ``hold_out``.

    Args:
        root: The folder.
        test_list: A csv without header, with ids (paths below ``root``) in the first column.

    Raises:
        ValueError: If a file is in no folder of a class, a class has no clip to train on, folders
            look like splits under other names, or the list has a clip in another spelling.
    """
    root = Path(root)
    if not has_parts(root):
        refuse_splits(root)
        whole = folder(root, classes=True)
        parts = hold_out(whole) if test_list is None else by_list(whole, test_list)
    else:
        parts = _merged(*(prefixed(folder(root / part, classes=True), part) for part in PARTS))
    trained = {label for item in parts[0].items for label in item.labels}
    for label, name in enumerate(parts[0].classes):
        if label not in trained:
            raise ValueError(f"{root}: no clip of the class {name!r} to train on; add some")
    return parts


def plain_folder(root: str | Path, *, test_list: str | Path | None = None) -> tuple[ClipSet, None]:
    """List the training videos of a folder without classes; see ``class_folder`` for the others."""
    root = Path(root)
    if has_parts(root):
        return prefixed(folder(root / "train"), "train"), None
    if test_list is None:
        refuse_splits(root)
        return folder(root), None
    train, test = by_list(folder(root), test_list)
    if not test.missing:
        return train, None
    absent = f"{len(test.missing)} clips of the list are not there, such as {test.missing[0]}"
    return replace(train, remarks=(*train.remarks, absent)), None


def by_list(whole: ClipSet, test_list: str | Path) -> tuple[ClipSet, ClipSet]:
    """Split clips by a list of the ids of the test clips."""
    listed = read_ids(Path(test_list))
    there = {item.id: item for item in whole.items if item.id in listed}
    if not there:
        like = f"such as {whole.items[0].id}" if whole.items else "below the folder"
        raise ValueError(f"{test_list}: lists no clip of {whole.name}; ids are paths {like}")
    require_spelling(listed, {item.id for item in whole.items}, table=Path(test_list))
    train = tuple(item for item in whole.items if item.id not in listed)
    return (
        replace(whole, name=f"{whole.name} train", items=train),
        replace(
            whole,
            name=f"{whole.name} test",
            items=tuple(there.values()),
            missing=tuple(key for key in listed if key not in there),
        ),
    )


def prefixed(clips: ClipSet, part: str) -> ClipSet:
    """Add the folder of a part to the ids, so that they are paths below the whole folder."""
    items = tuple(replace(item, id=f"{part}/{item.id}") for item in clips.items)
    return replace(clips, items=items, missing=tuple(f"{part}/{key}" for key in clips.missing))


def _merged(train: ClipSet, test: ClipSet) -> tuple[ClipSet, ClipSet]:
    """Give the classes of both splits the same numbers."""
    classes = tuple(sorted({*train.classes, *test.classes}))
    parts = [
        replace(
            part,
            classes=classes,
            items=tuple(
                replace(i, labels=tuple(classes.index(part.classes[n]) for n in i.labels))
                for i in part.items
            ),
        )
        for part in (train, test)
    ]
    remarks = (*parts[1].remarks, *shared_files(*parts))
    return parts[0], replace(parts[1], remarks=remarks)
