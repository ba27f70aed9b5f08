"""Reader of a folder of video files with audio."""

from pathlib import Path

from avblocks.data.datasets.clipset import ClipSet, Item
from avblocks.data.datasets.disk import media_files


def folder(root: str | Path, *, classes: bool = False) -> ClipSet:
    """List the video files in a folder, at any depth, sorted; ids are their relative paths.

    With ``classes``, each folder directly in ``root`` is a class, in alphabetical order; otherwise
    there are no labels.

    Raises:
        ValueError: If the folder is missing or contains no video file, or a file has no class.
    """
    root = Path(root)
    paths = {path.relative_to(root): str(path) for path in media_files(root)}
    names = tuple(sorted({_class(root, name) for name in paths})) if classes else ()
    number = {name: index for index, name in enumerate(names)}
    items = tuple(
        Item(id=name.as_posix(), path=path, labels=(number[name.parts[0]],) if classes else ())
        for name, path in paths.items()
    )
    return ClipSet(name=f"folder {root}", items=items, classes=names)


def _class(root: Path, name: Path) -> str:
    """Return the name of the folder directly in ``root`` that contains a file."""
    if len(name.parts) < 2:
        raise ValueError(f"{root / name}: is in no folder of a class; move it into one")
    return name.parts[0]
