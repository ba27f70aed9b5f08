"""Reader of audio files with images: wav + jpg pairs, or frames extracted from videos."""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from avblocks.data.datasets.clipset import ClipSet, Item, StillImage, listed_set
from avblocks.data.datasets.disk import AUDIO_SUFFIXES, IMAGE_SUFFIXES, add_file, media_files

_FRAME = re.compile(r"frame_(\d{1,4})")


def stills(root: str | Path) -> ClipSet:
    """List audio files (wav, flac) with the images (jpg, png) of the same name, in sorted order.

    Both are in the same folder, at any depth below ``root``, or audio is below ``root/audio`` and
    images are below ``root/frames``. A clip may have several images, extracted evenly from its
    video as by ``extract_video_frame.py`` of CAV-MAE, in folders ``frame_0``, ``frame_1`` and so on
    below ``root/frames`` or ``root``.

    Returns:
        The clips, without labels; ids are paths without suffix. Audio without an image, and an
        image without audio, count as missing.

    Raises:
        ValueError: If a folder is missing, or contains no audio or no image; or if two files
            differ in their suffix only.
    """
    return listed_set(f"stills {root}", still_items(Path(root)))


def has_stills(root: Path) -> bool:
    """Return whether a folder contains separate folders of audio and images."""
    apart = (root / "audio").is_dir() and (root / "frames").is_dir()
    return apart or next(_frame_folders(root), None) is not None


def still_items(root: Path) -> dict[str, Item | None]:
    """Map ids to audio with images, ``None`` if audio or images are missing; see ``stills``."""
    apart = has_stills(root)
    base, frames = (_base(root, name, apart=apart) for name in ("audio", "frames"))
    audio: dict[str, str] = {}
    for path in media_files(base, suffixes=AUDIO_SUFFIXES, kind="audio"):
        add_file(audio, path.relative_to(base).with_suffix("").as_posix(), path)
    images = _images(frames)
    return {
        key: Item(id=key, path=audio[key], images=images[key])
        if key in audio and key in images
        else None
        for key in sorted({**audio, **images})
    }


def still_remarks(
    root: Path, items: Mapping[str, Item | None], wanted: Collection[str]
) -> tuple[str, ...]:
    """Return remarks for the report if none of the wanted clips is on disk."""
    missing = next((key for key in wanted if items.get(key) is None), None)
    if missing is None or any(items.get(key) for key in wanted):
        return ()
    looked = f"looked for names such as audio/{missing}.wav and frames/{missing}.jpg in {root}"
    others = [key for key in items if key not in wanted]
    if not others:
        return (looked,)
    return f"{len(others)} pairs fit no listed clip, such as {others[0]}", looked


def _base(root: Path, name: str, *, apart: bool) -> Path:
    """Return the separate folder of audio or of images if there is one, else ``root``."""
    return root / name if apart and (root / name).is_dir() else root


def _frame_folders(root: Path) -> Iterator[Path]:
    return (path for path in root.glob("frame_*") if _FRAME.fullmatch(path.name) and path.is_dir())


def _images(base: Path) -> dict[str, tuple[StillImage, ...]]:
    """Map paths, without suffix and ``frame_n`` folder, to images; several with such folders."""
    single: dict[str, StillImage] = {}
    several: dict[str, dict[int, StillImage]] = {}
    files: dict[str, str] = {}
    for path in media_files(base, suffixes=IMAGE_SUFFIXES, kind="image"):
        whole = path.relative_to(base).with_suffix("")
        add_file(files, whole.as_posix(), path)
        name, number = _numbered(whole)
        if number is None:
            single[name] = StillImage(path=str(path))
        else:
            several.setdefault(name, {})[number] = StillImage(path=str(path))
    count = 1 + max((number for frames in several.values() for number in frames), default=0)
    found = {name: (file,) for name, file in single.items()}
    return found | {
        name: tuple(replace(frames[n], part=n / count) for n in sorted(frames))
        for name, frames in several.items()
    }


def _numbered(path: Path) -> tuple[str, int | None]:
    """Remove the ``frame_n`` folder from a path, and return its number.

    >>> _numbered(Path("train/frame_3/abc"))
    ('train/abc', 3)
    """
    for index, part in enumerate(path.parts[:-1]):
        if match := _FRAME.fullmatch(part):
            return Path(*path.parts[:index], *path.parts[index + 1 :]).as_posix(), int(match[1])
    return path.as_posix(), None
