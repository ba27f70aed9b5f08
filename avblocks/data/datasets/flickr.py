"""Reader of Flickr-SoundNet: images with audio, and test boxes of several annotators."""

from dataclasses import replace
from pathlib import Path
from xml.etree.ElementTree import Element

from avblocks.data.datasets.annotations import checked_box, read_xml
from avblocks.data.datasets.clipset import Box, ClipSet, Item, listed_set
from avblocks.data.datasets.disk import read_ids
from avblocks.data.datasets.stills import still_items, still_remarks

_SIDE = 256  # pixels, side of the annotated images


def flickr_soundnet(root: str | Path) -> ClipSet:
    """List the annotated test set of Flickr-SoundNet.

    ``root`` contains ``flickr_test.csv`` (ids in the first column), ``audio/ID.wav``,
    ``frames/ID.jpg`` and ``Annotations/ID.xml``: one element per annotator, which contains
    ``<bbox>`` elements of a name and left, top, right and bottom in pixels of a 256 x 256 image.
    To train on images without annotation, list their folder with ``stills``.

    Returns:
        The clips in the order of the csv, with the boxes of all annotators.

    Raises:
        ValueError: If the csv or a folder is missing, or an annotation is wrong.

    Source: Senocak et al., "Learning to localize sound source in visual scenes" (CVPR 2018); the
    test set of 250 clips of Chen et al., "Localizing visual sounds the hard way" (CVPR 2021).
    """
    root = Path(root)
    wanted, items = read_ids(root / "flickr_test.csv"), still_items(root)
    found = {key: _annotated(items.get(key), root / "Annotations" / f"{key}.xml") for key in wanted}
    remarks = still_remarks(root, items, wanted)
    unmarked = next((key for key in wanted if items.get(key) and found[key] is None), None)
    if unmarked is not None and not any(found.values()):
        remarks = (*remarks, f"looked for annotations such as Annotations/{unmarked}.xml")
    return listed_set("flickr-soundnet test", found, remarks=remarks)


def _annotated(item: Item | None, notes: Path) -> Item | None:
    """Add the boxes of all annotators; boxes of zero area have no effect on the scores."""
    if item is None or not notes.is_file():
        return None
    boxes = (box for annotator in read_xml(notes) for box in annotator if box.tag == "bbox")
    read = (_box(box, where=f"{notes}, box {number}") for number, box in enumerate(boxes, start=1))
    return replace(item, boxes=tuple(read))


def _box(box: Element, *, where: str) -> Box:
    """Read a name and four numbers, and clip the box to the image, as published code does."""
    texts = [child.text or "" for child in box][1:]
    try:
        values = [float(text) / _SIDE for text in texts]
    except ValueError as error:
        raise ValueError(f"{where}: expected a name and four numbers, got {texts}") from error
    return checked_box(values, where=where, cut=True)
