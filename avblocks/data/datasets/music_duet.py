"""Reader of the boxes around both instruments of MUSIC duets, for multi-source localization."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from avblocks.data.datasets.annotations import AGAIN, checked_box
from avblocks.data.datasets.clipset import Box, ClipSet, Item, StillImage, listed_set
from avblocks.data.datasets.disk import files_by_id
from avblocks.data.datasets.music import PIECE
from avblocks.data.datasets.stills import has_stills, still_items, still_remarks
from avblocks.jsonfile import read_json

_TABLE = "music_duet.json"


def music_duet(root: str | Path) -> ClipSet:
    """List the annotated frames of MUSIC duets.

    ``root`` contains ``music_duet.json``: entries of ``file``, which is ``ID_nnn_sssss`` for second
    ``sssss`` of video ``ID``, and ``class_src1``, ``bbox_src1``, ``class_src2`` and ``bbox_src2``,
    with boxes as left, top, width and height relative to the frame. The clips are
    ``frames/ID_nnn_sssss.jpg`` with the audio of the whole video, ``audio/ID.wav``, or of the
    piece, ``audio/ID_nnn_sssss.wav``; or pieces of videos, ``ID_nnn_sssss.mp4``, at any depth.

    Returns:
        The clips in the order of the file; classes in alphabetical order. The two boxes and the two
        labels of a clip are in the same order.

    Raises:
        ValueError: If the annotation or the clips are missing, or an entry is wrong.

    Source: Mo and Tian, "Audio-visual grouping network for sound localization from mixtures"
    (CVPR 2023), which published the file. Its evaluation code reads width and height as right and
    bottom, so its scores on duets refer to other boxes.
    """
    root = Path(root)
    table = root / _TABLE
    entries = dict(_entries(table))
    classes = tuple(sorted({name for sources in entries.values() for name, _ in sources}))
    items, remarks = _find(root, entries)
    found: dict[str, Item | None] = {}
    for key, sources in entries.items():
        item, labels = items.get(key), tuple(classes.index(name) for name, _ in sources)
        found[key] = item and replace(item, labels=labels, boxes=tuple(box for _, box in sources))
    return listed_set("music-duet test", found, classes=classes, remarks=remarks)


def _entries(table: Path) -> Iterator[tuple[str, list[tuple[str, Box]]]]:
    """Yield the id of each entry, and the class and box of its two sources."""
    seen: set[str] = set()
    for entry in read_json(table, [{"file": str}], remedy=AGAIN):
        key = entry["file"]
        if not PIECE.fullmatch(key) or key in seen:
            what = "is in two entries; delete one" if key in seen else "is not ID_nnn_sssss"
            raise ValueError(f"{table}: {key!r} {what}")
        seen.add(key)
        yield key, [_source(entry, number, where=f"{table}, {key!r}") for number in (1, 2)]


def _source(entry: Mapping[str, Any], number: int, *, where: str) -> tuple[str, Box]:
    """Read the class and box of a source."""
    name, box = entry.get(f"class_src{number}"), entry.get(f"bbox_src{number}")
    if not isinstance(name, str):
        raise ValueError(f"{where}: expected the name of a class in class_src{number}, got {name}")
    if isinstance(box, list) and len(box) == 4 and all(isinstance(v, int | float) for v in box):
        left, top, width, height = box
        box = [left, top, left + width, top + height]
    return name, checked_box(box, where=f"{where}, bbox_src{number}", cut=True)


def _find(root: Path, keys: Collection[str]) -> tuple[Mapping[str, Item | None], tuple[str, ...]]:
    """Find the clips, and return remarks for the report."""
    if not has_stills(root):
        paths, remarks = files_by_id(root, PIECE, keys)
        return {key: Item(id=key, path=path) for key, path in paths.items()}, remarks
    there = still_items(root)
    items = {key: there.get(key) or _in_whole(root, key) for key in keys if key in there}
    return items, still_remarks(root, {**there, **items}, keys)


def _in_whole(root: Path, key: str) -> Item | None:
    """Build an item from a frame and the audio of its whole video, if both exist."""
    video, _, second = key.rsplit("_", 2)
    image, audio = root / "frames" / f"{key}.jpg", root / "audio" / f"{video}.wav"
    if not (image.is_file() and audio.is_file()):
        return None
    return Item(id=key, path=str(audio), images=(StillImage(path=str(image), time=float(second)),))
