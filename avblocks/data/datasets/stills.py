"""Sounds with one picture each, as localization data sets are kept: wav + jpg."""

from pathlib import Path

from avblocks.data.datasets.clipset import Box, ClipSet, Item, Picture
from avblocks.data.datasets.disk import PICTURES, SOUNDS, media_files


def stills(root: str | Path) -> ClipSet:
    """List pairs of a sound (wav, flac) and a picture (jpg, png) of one name, in sorted order.

    The two lie beside each other at any depth below ``root``, or the sounds below ``root/audio``
    and the pictures below ``root/frames``.

    Args:
        root: The folder.

    Returns:
        The clips, without labels; their ids are their paths without suffix. A sound without picture
        and a picture without sound are missing.

    Raises:
        ValueError: If a folder is missing or holds no sound or no picture.
    """
    root = Path(root)
    sounds, pictures = still_files(root)
    return ClipSet(
        name=f"stills {root}",
        items=tuple(
            still(key, sounds[key], pictures[key]) for key in sorted(sounds.keys() & pictures)
        ),
        missing=tuple(sorted(sounds.keys() ^ pictures)),
    )


def still_files(root: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Map ids to sound files and to picture files, see ``stills``."""
    apart = (root / "audio").is_dir() and (root / "frames").is_dir()
    return (
        _named(root / "audio" if apart else root, suffixes=SOUNDS, kind="sound"),
        _named(root / "frames" if apart else root, suffixes=PICTURES, kind="picture"),
    )


def still(
    key: str,
    sound: str,
    picture: str,
    *,
    labels: tuple[int, ...] = (),
    boxes: tuple[Box, ...] | None = None,
) -> Item:
    """Put a sound and its picture, shown at no particular time, together."""
    return Item(id=key, path=sound, labels=labels, pictures=(Picture(path=picture),), boxes=boxes)


def _named(base: Path, *, suffixes: frozenset[str], kind: str) -> dict[str, str]:
    """Map paths below a folder, without suffix, to the files of one kind."""
    paths = media_files(base, suffixes=suffixes, kind=kind)
    return {path.relative_to(base).with_suffix("").as_posix(): str(path) for path in paths}
