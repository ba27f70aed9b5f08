"""Scenes in the layouts of the localization data sets: VGG-SS and Flickr-SoundNet."""

import json
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

from avblocks.csvlog import write_csv
from avblocks.data.scenes.files import read_notes
from avblocks.data.scenes.render import Scene, scene_id
from avblocks.data.scenes.source import SceneSource
from avblocks.data.scenes.store import Place, frame_at, stored, write_scenes
from avblocks.data.write import write_image, write_wave
from avblocks.files import replacing, write_text

_SIDE = 256  # pixels, side of the images of Flickr-SoundNet
_ANNOTATORS = 3


def scenes_as_vggss(root: str | Path, *, source: SceneSource | None = None) -> Path:
    """Write ``vggss.json`` into a folder of scenes: boxes of the middle frames of the test scenes.

    Returns:
        The folder of the scenes, an argument for ``vggss``.

    Raises:
        ValueError: If the folder contains no scenes.
    """
    root = Path(root)
    source, places = stored(root, source)
    spec = source.spec
    entries = []
    for name in (scene_id(n, split=split) for split, n in places if split == "test"):
        notes = read_notes(root / "annotations" / f"{name}.json")
        middle = notes["boxes"][int(spec.seconds / 2 * spec.fps)]
        boxes = [box for box in middle if any(box)]
        entries.append({"file": f"{name}_000000", "class": notes["class"][0], "bbox": boxes})
    write_text(root / "vggss.json", json.dumps(entries))
    return root


def scenes_as_flickr(
    root: str | Path, *, workers: int = 2, source: SceneSource | None = None
) -> Path:
    """Write the test scenes in the layout of Flickr-SoundNet, in the subfolder ``flickr``.

    Returns:
        The subfolder, an argument for ``flickr_soundnet``.

    Raises:
        ValueError: If the folder contains no scenes.
    """
    root = Path(root)
    base = root / "flickr"
    source, places = stored(root, source)
    names = {place: scene_id(place[1], split="test") for place in places if place[0] == "test"}
    write_scenes(
        root,
        {place: base / "Annotations" / f"{name}.xml" for place, name in names.items()},
        write=partial(_write_still, base=base, source=source),
        source=source,
        workers=workers,
    )
    write_csv(base / "flickr_test.csv", (), ([name, 0] for name in names.values()))
    return base


def _write_still(scene: Scene, place: Place, *, base: Path, source: SceneSource) -> None:
    """Write the audio, middle frame and boxes of a scene."""
    spec = source.spec
    number = frame_at(scene, spec.seconds / 2, fps=spec.fps)
    write_wave(base / "audio" / f"{scene.id}.wav", scene.audio, rate=spec.rate)
    write_image(base / "frames" / f"{scene.id}.jpg", scene.frames[number])
    annotation = ElementTree.Element("annotation")
    for annotator in range(_ANNOTATORS):
        boxes = ElementTree.SubElement(annotation, f"annotator{annotator}")
        for label, box in zip(scene.labels, scene.boxes[number], strict=True):
            if box.any():
                element = ElementTree.SubElement(boxes, "bbox")
                ElementTree.SubElement(element, "name").text = str(label)
                for side, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True):
                    ElementTree.SubElement(element, side).text = str(round(_SIDE * value))
    with replacing(base / "Annotations" / f"{scene.id}.xml", durable=False) as half:
        ElementTree.ElementTree(annotation).write(half, encoding="utf-8")
