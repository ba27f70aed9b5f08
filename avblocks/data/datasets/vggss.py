"""VGG-SS: boxes around what sounds, over VGGSound's test clips."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from avblocks.data.datasets.annotations import AGAIN, checked_box, has_area
from avblocks.data.datasets.clipset import Box, ClipSet, Item, listed_set
from avblocks.data.datasets.vggsound import segments, vggsound_clips
from avblocks.jsonfile import read_json

# What the published file has in place of some right or bottom edges: the least 64-bit number,
# divided by the width of 320 pixels.
_LOST = -(2**63) / 320


def vggss(root: str | Path) -> ClipSet:
    """List VGG-SS; its heard and unheard halves are ``subset`` of this.

    ``root`` holds ``vggss.json`` and the clips: ``ID_ssssss_eeeeee.mp4`` or ``ID_ssssss.mp4``
    anywhere below it, or ``audio/ID_ssssss.wav`` and ``frames/ID_ssssss.jpg``. The boxes are drawn
    on the frame in the middle of a clip, which is what ``read_clip`` gives unless told otherwise.

    Returns:
        The clips in the order of the file; classes in alphabetical order. Boxes that enclose
        nothing, of which 18 were published, are left out and counted in the report.

    Raises:
        ValueError: If the annotation or the clips are missing, or an entry is wrong.

    Source: Chen et al., "Localizing visual sounds the hard way" (CVPR 2021).
    """
    root = Path(root)
    entries = list(_entries(root / "vggss.json"))
    classes = tuple(sorted({name for _, name, _ in entries}))
    number = {name: index for index, name in enumerate(classes)}
    clips = vggsound_clips(root, [key for key, _, _ in entries])
    remarks = clips.remarks(segments([key for key, _, _ in entries]))
    found: dict[str, Item | None] = {}
    for key, name, boxes in entries:
        if key in found:
            raise ValueError(f"{root / 'vggss.json'}: two entries for {key!r}; delete one")
        item, real = clips.items.get(key), tuple(box for box in boxes if has_area(box))
        found[key] = item and replace(item, labels=(number[name],), boxes=real)
    lost = sum(not has_area(box) for _, _, boxes in entries for box in boxes)
    remarks = (*remarks, f"{lost} boxes enclose nothing and are left out") if lost else remarks
    return listed_set("vggss test", found, classes=classes, remarks=remarks)


def _entries(table: Path) -> Iterator[tuple[str, str, tuple[Box, ...]]]:
    """Read id, class and boxes of each entry."""
    entries = read_json(table, [object], remedy=AGAIN)
    for entry in entries:
        fields = entry if isinstance(entry, dict) else {}
        key, name, boxes = (fields.get(field) for field in ("file", "class", "bbox"))
        if not (isinstance(key, str) and isinstance(name, str) and isinstance(boxes, list)):
            raise ValueError(
                f'{table}: expected entries of "file", "class" and "bbox", got {str(entry)[:99]}'
            )
        where = f"{table}, {key!r}, box"
        yield key, name, tuple(_box(b, where=f"{where} {n}") for n, b in enumerate(boxes, start=1))


def _box(box: Any, *, where: str) -> Box:
    """Read a box; one that lost an edge has no area."""
    if isinstance(box, list) and _LOST in box:
        return 0.0, 0.0, 0.0, 0.0
    return checked_box(box, where=where)
