"""VGG-SS: boxes around what sounds, over VGGSound's test clips."""

from pathlib import Path
from typing import Any

from avblocks.data.datasets.annotations import checked_box, has_area, read_json
from avblocks.data.datasets.clipset import Box, ClipSet, Item
from avblocks.data.datasets.stills import still, still_files
from avblocks.data.datasets.vggsound import vggsound_files

# What the published file has in place of some right or bottom edges: the least 64-bit number,
# divided by the width of 320 pixels.
_LOST = -(2**63) / 320


def vggss(root: str | Path) -> ClipSet:
    """List VGG-SS; its heard and unheard halves are ``subset`` of this.

    ``root`` holds ``vggss.json`` and the clips: ``ID_ssssss_eeeeee.mp4`` or ``ID_ssssss.mp4``
    anywhere below it, or ``audio/ID_ssssss.wav`` and ``frames/ID_ssssss.jpg``. The boxes are drawn
    on the frame in the middle of a clip, which is what ``read_clip`` gives unless told otherwise.

    Args:
        root: Folder of the annotation and the clips.

    Returns:
        The clips in the order of the file; classes in alphabetical order. Boxes that enclose
        nothing, of which 18 were published, are left out and counted in the report.

    Raises:
        ValueError: If the annotation or the clips are missing, or an entry is wrong.

    Source: Chen et al., "Localizing visual sounds the hard way" (CVPR 2021).
    """
    root = Path(root)
    table = root / "vggss.json"
    entries = [_entry(table, entry) for entry in _list(table)]
    classes = tuple(sorted({name for _, name, _ in entries}))
    number = {name: index for index, name in enumerate(classes)}
    items = _items(root, {key: (number[name], boxes) for key, name, boxes in entries})
    found = {item.id for item in items}
    lost = sum(not has_area(box) for _, _, boxes in entries for box in boxes)
    return ClipSet(
        name="vggss test",
        items=items,
        classes=classes,
        missing=tuple(key for key, _, _ in entries if key not in found),
        remarks=(f"{lost} boxes enclose nothing and are left out",) if lost else (),
    )


def _list(table: Path) -> list[Any]:
    """Read the entries."""
    entries = read_json(table)
    if not isinstance(entries, list):
        raise ValueError(f"{table}: expected a list of entries, got {type(entries).__name__}")
    return entries


def _entry(table: Path, entry: Any) -> tuple[str, str, tuple[Box, ...]]:
    """Read id, class and boxes of an entry."""
    fields = entry if isinstance(entry, dict) else {}
    key, name, boxes = (fields.get(field) for field in ("file", "class", "bbox"))
    if not (isinstance(key, str) and isinstance(name, str) and isinstance(boxes, list)):
        raise ValueError(
            f'{table}: expected entries of "file", "class" and "bbox", got {str(entry)[:99]}'
        )
    where = f"{table}, {key!r}, box"
    return (
        key,
        name,
        tuple(_box(box, where=f"{where} {number}") for number, box in enumerate(boxes, start=1)),
    )


def _box(box: Any, *, where: str) -> Box:
    """Read a box; one that lost an edge has no area."""
    if isinstance(box, list) and _LOST in box:
        return 0.0, 0.0, 0.0, 0.0
    return checked_box(box, where=where)


def _items(root: Path, wanted: dict[str, tuple[int, tuple[Box, ...]]]) -> tuple[Item, ...]:
    """Find the clips, as videos or as sounds with pictures."""
    real = {key: tuple(box for box in boxes if has_area(box)) for key, (_, boxes) in wanted.items()}
    if not (root / "frames").is_dir():
        paths = vggsound_files(root)
        return tuple(
            Item(id=key, path=paths[key], labels=(label,), boxes=real[key])
            for key, (label, _) in wanted.items()
            if key in paths
        )
    sounds, pictures = still_files(root)
    return tuple(
        still(key, sounds[key], pictures[key], labels=(label,), boxes=real[key])
        for key, (label, _) in wanted.items()
        if key in sounds and key in pictures
    )
