"""Checks of the folders and lists of your own data, which would put test clips into training."""

import unicodedata
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path, PurePosixPath

from avblocks.data.datasets.clipset import ClipSet
from avblocks.data.datasets.disk import AUDIO_SUFFIXES, EXTENSIONS, IMAGE_SUFFIXES

_SPLITS = frozenset(
    {"train", "training", "val", "valid", "validation", "dev", "test", "testing", "eval"}
)
_SUFFIXES = EXTENSIONS | AUDIO_SUFFIXES | IMAGE_SUFFIXES


def refuse_splits(root: Path) -> None:
    """Raise a ``ValueError`` if a folder has folders of splits under other names than expected.

    They would be classes, or all be trained on.
    """
    paths = root.iterdir() if root.is_dir() else ()
    found = sorted(path.name for path in paths if path.name.lower() in _SPLITS and path.is_dir())
    if len({name.lower() for name in found}) > 1:
        raise ValueError(
            f"{root}: its folders {', '.join(found)} look like splits, which must be named train "
            "and test: rename those to train and to test on, or name one of them as the folder"
        )


def require_spelling(listed: Collection[str], there: Collection[str], *, table: Path) -> None:
    """Raise a ``ValueError`` if a listed path is that of an unlisted clip in another spelling.

    Such a clip would be trained on. Spellings differ in case, suffix, slashes or Unicode form.
    """
    absent = [key for key in listed if key not in there]
    others = {_loose(key): key for key in there if absent and key not in listed}
    for key in absent:
        if (other := others.get(_loose(key))) is not None:
            raise ValueError(
                f"{table}: {key!a} is no path of a clip, and {other!a} is one, which "
                "would be trained on: write it so, or delete the line"
            )


def shared_files(train: ClipSet, test: ClipSet) -> tuple[str, ...]:
    """Return a remark for the report if test clips are links to files of training clips."""
    files = {_file(item.path) for item in train.items} - {None}
    shared = [item.id for item in test.items if _file(item.path) in files]
    if not shared:
        return ()
    return (f"{len(shared)} are files of training clips too, such as {shared[0]}",)


def _loose(key: str) -> str:
    """Return a path without what spellings of it differ in.

    >>> _loose("./Dog/a.MP4"), _loose("dog/a")
    ('dog/a', 'dog/a')
    """
    path = PurePosixPath(unicodedata.normalize("NFC", key).replace("\\", "/").casefold())
    return str(path.with_suffix("") if path.suffix in _SUFFIXES else path)


def _file(path: str) -> tuple[int, int] | None:
    with suppress(OSError):
        found = Path(path).stat()
        return found.st_dev, found.st_ino
    return None
