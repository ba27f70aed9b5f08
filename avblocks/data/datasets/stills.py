"""Audio with images beside it: wav + jpg pairs, or frames extracted from videos."""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from avblocks.data.datasets.clipset import ClipSet, Item, Picture, listed_set
from avblocks.data.datasets.disk import PICTURES, SOUNDS, media_files

_FRAME = re.compile(r"frame_(\d{1,4})")


def stills(root: str | Path) -> ClipSet:
    """List audio files (wav, flac) with the images (jpg, png) of the same name, in sorted order.

    The two are beside each other at any depth below ``root``, or the audio below ``root/audio`` and
    the images below ``root/frames``. A name that is in folders ``frame_0``, ``frame_1`` and so on
    has several images, extracted evenly from its video, as CAV-MAE's ``extract_video_frame.py``
    does; these folders are below ``root/frames`` or ``root``.

    Returns:
        The clips, without labels; their ids are their paths without suffix. Audio without image and
        an image without audio are missing.

    Raises:
        ValueError: If a folder is missing or holds no audio or no image.
    """
    return listed_set(f"stills {root}", still_items(Path(root)))


def has_stills(root: Path) -> bool:
    """Whether a folder holds audio and images instead of videos, each kind in its own folders."""
    apart = (root / "audio").is_dir() and (root / "frames").is_dir()
    return apart or next(_frame_folders(root), None) is not None


def still_items(root: Path) -> dict[str, Item | None]:
    """Map ids to audio with images, ``None`` where one kind is missing; see ``stills``."""
    apart = has_stills(root)
    sounds, pictures = (_base(root, name, apart=apart) for name in ("audio", "frames"))
    heard = {
        path.relative_to(sounds).with_suffix("").as_posix(): str(path)
        for path in media_files(sounds, suffixes=SOUNDS, kind="sound")
    }
    seen = _pictures(pictures)
    return {
        key: Item(id=key, path=heard[key], pictures=seen[key])
        if key in heard and key in seen
        else None
        for key in sorted({**heard, **seen})
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


def _base(root: Path, name: str, *, apart: bool) -> Path:
    """The folder of a kind of files, if the kinds are apart and it has one."""
    return root / name if apart and (root / name).is_dir() else root


def _frame_folders(root: Path) -> Iterator[Path]:
    return (path for path in root.glob("frame_*") if _FRAME.fullmatch(path.name) and path.is_dir())


def _pictures(base: Path) -> dict[str, tuple[Picture, ...]]:
    """Map paths, without suffix and frame folder, to images: several if there are such folders."""
    single: dict[str, Picture] = {}
    several: dict[str, dict[int, Picture]] = {}
    for path in media_files(base, suffixes=PICTURES, kind="picture"):
        name, number = _numbered(path.relative_to(base).with_suffix(""))
        if number is None:
            single[name] = Picture(path=str(path))
        else:
            several.setdefault(name, {})[number] = Picture(path=str(path))
    count = 1 + max((number for frames in several.values() for number in frames), default=0)
    found = {name: (picture,) for name, picture in single.items()}
    return found | {
        name: tuple(replace(frames[n], part=n / count) for n in sorted(frames))
        for name, frames in several.items()
    }


def _numbered(path: Path) -> tuple[str, int | None]:
    """Take the frame folder out of a path.

    >>> _numbered(Path("train/frame_3/abc"))
    ('train/abc', 3)
    """
    for place, part in enumerate(path.parts[:-1]):
        if match := _FRAME.fullmatch(part):
            return Path(*path.parts[:place], *path.parts[place + 1 :]).as_posix(), int(match[1])
    return path.as_posix(), None
