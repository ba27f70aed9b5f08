"""Any folder of video files with sound."""

from pathlib import Path

from avblocks.data.datasets._disk import media_files
from avblocks.data.datasets.clipset import ClipSet, Item


def folder(root: str | Path) -> ClipSet:
    """List the video files under a folder, at any depth, in sorted order and without labels.

    Args:
        root: The folder.

    Returns:
        The clips; their ids are their paths below ``root``.

    Raises:
        ValueError: If the folder is missing or holds no video file.
    """
    root = Path(root)
    items = tuple(
        Item(id=path.relative_to(root).as_posix(), path=str(path)) for path in media_files(root)
    )
    return ClipSet(name=f"folder {root}", items=items)
