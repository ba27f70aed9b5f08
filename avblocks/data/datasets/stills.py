"""Sounds with one picture each, as localization data sets are kept: wav + jpg."""

from collections.abc import Collection, Mapping
from pathlib import Path

from avblocks.data.datasets.clipset import ClipSet, Item, Picture, listed_set
from avblocks.data.datasets.disk import PICTURES, SOUNDS, media_files


def stills(root: str | Path) -> ClipSet:
    """List pairs of a sound (wav, flac) and a picture (jpg, png) of one name, in sorted order.

    The two lie beside each other at any depth below ``root``, or the sounds below ``root/audio``
    and the pictures below ``root/frames``.

    Returns:
        The clips, without labels; their ids are their paths without suffix. A sound without picture
        and a picture without sound are missing.

    Raises:
        ValueError: If a folder is missing or holds no sound or no picture.
    """
    return listed_set(f"stills {root}", still_items(Path(root)))


def still_items(root: Path) -> dict[str, Item | None]:
    """Map ids to pairs of a sound and a picture, ``None`` where one is missing; see ``stills``."""
    apart = (root / "audio").is_dir() and (root / "frames").is_dir()
    sounds = _named(root / "audio" if apart else root, suffixes=SOUNDS, kind="sound")
    pictures = _named(root / "frames" if apart else root, suffixes=PICTURES, kind="picture")
    pairs = {key: (sounds.get(key), pictures.get(key)) for key in sorted({**sounds, **pictures})}
    return {
        key: Item(id=key, path=sound, pictures=(Picture(path=picture),))
        if sound and picture
        else None
        for key, (sound, picture) in pairs.items()
    }


def still_remarks(
    root: Path, items: Mapping[str, Item | None], wanted: Collection[str]
) -> tuple[str, ...]:
    """Say what a report should add if none of the wanted pairs is there."""
    missing = next((key for key in wanted if items.get(key) is None), None)
    if missing is None or any(items.get(key) for key in wanted):
        return ()
    looked = f"looked for names such as audio/{missing}.wav and frames/{missing}.jpg in {root}"
    others = [key for key in items if key not in wanted]
    if not others:
        return (looked,)
    return f"{len(others)} pairs fit no listed clip, such as {others[0]}", looked


def _named(base: Path, *, suffixes: frozenset[str], kind: str) -> dict[str, str]:
    """Map paths below a folder, without suffix, to the files of one kind."""
    paths = media_files(base, suffixes=suffixes, kind=kind)
    return {path.relative_to(base).with_suffix("").as_posix(): str(path) for path in paths}
