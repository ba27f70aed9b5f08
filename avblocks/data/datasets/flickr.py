"""Flickr-SoundNet: pictures and sounds, and boxes of several annotators for its test."""

from pathlib import Path
from xml.etree.ElementTree import Element

from avblocks.data.datasets.annotations import checked_box, read_xml
from avblocks.data.datasets.clipset import Box, ClipSet
from avblocks.data.datasets.disk import read_rows
from avblocks.data.datasets.stills import still, still_files

_SIDE = 256  # pixels of the pictures that the annotators saw


def flickr_soundnet(root: str | Path) -> ClipSet:
    """List the annotated test of Flickr-SoundNet.

    ``root`` holds ``flickr_test.csv`` (ids in the first column), ``audio/ID.wav``,
    ``frames/ID.jpg`` and ``Annotations/ID.xml``: an element for each annotator, in it ``<bbox>``
    elements of a name and left, top, right and bottom in pixels of a 256 x 256 picture. To train
    on pictures without annotation, list their folder with ``stills``.

    Args:
        root: The folder.

    Returns:
        The clips in the order of the csv, with the boxes of all annotators.

    Raises:
        ValueError: If the csv or a folder is missing, or an annotation is wrong.

    Source: Senocak et al., "Learning to localize sound source in visual scenes" (CVPR 2018); the
    test of 250 of Chen et al., "Localizing visual sounds the hard way" (CVPR 2021).
    """
    root = Path(root)
    table = root / "flickr_test.csv"
    wanted = list(dict.fromkeys(row[0] for _, row in read_rows(table, columns=None)))
    sounds, pictures = still_files(root)
    notes = {key: root / "Annotations" / f"{key}.xml" for key in wanted}
    found = [key for key in wanted if key in sounds and key in pictures and notes[key].is_file()]
    return ClipSet(
        name="flickr-soundnet test",
        items=tuple(
            still(key, sounds[key], pictures[key], boxes=_boxes(notes[key])) for key in found
        ),
        missing=tuple(key for key in wanted if key not in set(found)),
    )


def _boxes(path: Path) -> tuple[Box, ...]:
    """Read the boxes of all annotators; those that enclose nothing count for nothing anyhow."""
    boxes = (box for annotator in read_xml(path) for box in annotator if box.tag == "bbox")
    return tuple(
        _box(box, where=f"{path}, box {number}") for number, box in enumerate(boxes, start=1)
    )


def _box(box: Element, *, where: str) -> Box:
    """Read a name and four numbers; drawn by hand, a box may end one pixel over the edge."""
    texts = [child.text or "" for child in box][1:]
    try:
        values = [float(text) / _SIDE for text in texts]
    except ValueError as error:
        raise ValueError(f"{where}: expected a name and four numbers, got {texts}") from error
    return checked_box(values, where=where, slack=1 / _SIDE)
