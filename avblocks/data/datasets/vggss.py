"""Reader of VGG-SS: boxes of the sounding objects in VGGSound test clips."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from avblocks.data.datasets.annotations import AGAIN, checked_box, has_area
from avblocks.data.datasets.clipset import Box, ClipSet, Item, listed_set
from avblocks.data.datasets.vggsound import segments, vggsound_clips
from avblocks.jsonfile import read_json

# The value of some right or bottom edges in the published file: the smallest 64-bit integer,
# divided by the width of 320 pixels.
_MISSING_EDGE = -(2**63) / 320


def vggss(root: str | Path) -> ClipSet:
    """List VGG-SS; ``subset`` selects its heard and unheard classes.

    ``root`` contains ``vggss.json`` and the clips: ``ID_ssssss_eeeeee.mp4`` or ``ID_ssssss.mp4`` at
    any depth, or ``audio/ID_ssssss.wav`` and ``frames/ID_ssssss.jpg``. The boxes were drawn on the
    frame in the middle of a clip, the default frame of ``read_clip``.

    Returns:
        The clips in the order of the file; classes in alphabetical order. Boxes of zero area (18 in
        the published file) are dropped and counted in the report.

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
    empty = sum(not has_area(box) for _, _, boxes in entries for box in boxes)
    remarks = (*remarks, f"{empty} boxes enclose nothing and are left out") if empty else remarks
    return listed_set("vggss test", found, classes=classes, remarks=remarks)


def _entries(table: Path) -> Iterator[tuple[str, str, tuple[Box, ...]]]:
    """Yield the id, class and boxes of each entry."""
    entries = read_json(table, [object], remedy=AGAIN)
    for entry in entries:
        fields = entry if isinstance(entry, dict) else {}
        key, name, boxes = (fields.get(field) for field in ("file", "class", "bbox"))
        if not (isinstance(key, str) and isinstance(name, str) and isinstance(boxes, list)):
            raise ValueError(
                f'{table}: expected entries of "file", "class" and "bbox", got {str(entry)[:99]}'
            )
        if not segments([key]):
            raise ValueError(f"{table}: {key!r} is not ID_ssssss; {AGAIN}")
        where = f"{table}, {key!r}, box"
        yield key, name, tuple(_box(b, where=f"{where} {n}") for n, b in enumerate(boxes, start=1))


def _box(box: Any, *, where: str) -> Box:
    """Read a box; one with a missing edge becomes a box of zero area."""
    if isinstance(box, list) and _MISSING_EDGE in box:
        return 0.0, 0.0, 0.0, 0.0
    return checked_box(box, where=where)
