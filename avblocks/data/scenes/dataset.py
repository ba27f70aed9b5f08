"""Scenes: small synthetic audio-visual clips, so that everything runs without downloads.

Colored shapes move over a textured background. Sounding objects move in time with their audio;
silent objects move in time with audio that is not played. The class depends on both image and
audio, see ``classes``.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from avblocks.csvlog import write_csv
from avblocks.data.datasets.clipset import ClipSet
from avblocks.data.datasets.vggsound import vggsound
from avblocks.data.scenes.classes import Split
from avblocks.data.scenes.files import write_all, write_scene
from avblocks.data.scenes.render import SceneSpec, scene_id
from avblocks.data.scenes.source import DrawnScenes, SceneSource
from avblocks.files import write_text
from avblocks.jsonfile import Shape, read_json
from avblocks.shapes import require_choice

MANIFEST = "scenes.json"
"""File with the settings and the numbers of the scenes in a folder."""
_COUNTS = {"train": 240, "test": 120}
_REMEDY = "delete the folder, and make the scenes anew"


def scenes(
    root: str | Path,
    *,
    split: Split,
    num_clips: int | None = None,
    spec: SceneSpec | None = None,
    workers: int = 2,
) -> ClipSet:
    """Render the scenes that are not on disk yet, and list them in the layout of VGGSound.

    The function writes ``vggsound.csv``, ``clips/CLASS/ID_ssssss_eeeeee.mp4`` and, by id,
    ``annotations/ID.json`` (classes, silent objects, boxes per frame), ``masks/ID.npz`` (``bits``:
    packed along the width, ``shape``: t k height width) and ``sources/ID_k.wav`` to ``root``. An
    interrupted call can be repeated; it continues with the missing scenes.

    Args:
        root: Folder that contains nothing but this data set.
        split: Training scenes are solos and duets, test scenes solos.
        num_clips: Number of scenes; 240 for training and 120 for testing if not given.
        spec: Settings; the defaults if not given.
        workers: Number of threads that render.

    Raises:
        ValueError: If the folder contains scenes of other settings, or other files.
    """
    require_choice(*_COUNTS, split=split)
    count = _COUNTS[split] if num_clips is None else num_clips
    source = DrawnScenes(spec or SceneSpec())
    return make(root, source, split=split, num_clips=count, workers=workers)


def make(
    root: str | Path, source: SceneSource, *, split: Split, num_clips: int, workers: int
) -> ClipSet:
    """Render the scenes of a source that are not on disk yet, and list them, see ``scenes``.

    Raises:
        ValueError: If the folder contains scenes of other settings, or other files.
    """
    root = Path(root)
    if num_clips < 1 or workers < 1:
        raise ValueError(f"num_clips and workers must be at least 1, got {num_clips} and {workers}")
    counts = _claim(root, source)
    task = partial(write_scene, root, split=split, source=source)
    write_all(task, range(num_clips), name=f"scenes {split}", workers=workers)
    counts[split] = max(num_clips, counts[split])
    _publish(root, counts=counts, source=source)
    return listed(root, split=split, count=num_clips, classes=source.classes)


def _claim(root: Path, source: SceneSource) -> dict[Split, int]:
    """Check that a folder is empty or has the same settings; return how many scenes it lists."""
    counts: dict[Split, int] = {"train": 0, "test": 0}
    manifest, wanted = root / MANIFEST, dict(source.settings())
    if not manifest.is_file():
        others = [p.name for p in root.iterdir() if p.suffix != ".tmp"] if root.is_dir() else []
        if others:
            raise ValueError(
                f"{root}: holds other files ({others[0]}) and no scenes; scenes are only written "
                "into a folder of their own"
            )
        _publish(root, counts=counts, source=source)
        return counts
    found = read_manifest(root)
    # A folder written before a setting was introduced has scenes of the default.
    defaults = DrawnScenes(SceneSpec()).settings() if isinstance(source, DrawnScenes) else {}
    if {**defaults, **found["settings"]} != wanted:
        raise ValueError(
            f"{root}: holds scenes of other settings ({found['settings']}, wanted "
            f"{wanted}); name another folder or delete this one"
        )
    return counts | found["counts"]


def read_manifest(root: Path) -> dict[str, Any]:
    """Read settings, counts and classes of the scenes in a folder.

    Raises:
        ValueError: If the file is missing or wrong.
    """
    counts: Shape = {"train": int, "test": int}
    shape: Shape = {"settings": {"*": (int, float, str)}, "counts": counts}
    found = read_json(root / MANIFEST, shape, remedy=_REMEDY)
    known = DrawnScenes(SceneSpec()).settings()
    unknown = found["settings"].keys() - known.keys()
    if "classes" not in found and unknown:
        raise ValueError(f"{root / MANIFEST}: no such setting: {min(unknown)!r}; {_REMEDY}")
    return found


def _publish(root: Path, *, counts: Mapping[Split, int], source: SceneSource) -> None:
    """Write the csv of all scenes, with one line per sounding object, and the manifest."""
    classes = source.classes
    named = {} if isinstance(source, DrawnScenes) else {"classes": classes}
    content = {"settings": source.settings(), "counts": counts, **named}
    # The manifest first, since it marks the folder as one of scenes.
    write_text(root / MANIFEST, json.dumps(content))
    rows = (
        [scene_id(index, split=split), 0, classes[label], split]
        for split, count in counts.items()
        for index in range(count)
        for label in source.sounding(index, split=split)
    )
    write_csv(root / "vggsound.csv", (), rows)


def listed(root: Path, *, split: Split, count: int, classes: tuple[str, ...]) -> ClipSet:
    """List the scenes on disk, with class numbers out of all classes, however few are listed."""
    found = vggsound(root, split=split)
    numbers = [classes.index(name) for name in found.classes]
    items = tuple(
        replace(item, labels=tuple(numbers[label] for label in item.labels))
        for item in found.items[:count]
    )
    return ClipSet(name=f"scenes {split}", items=items, classes=classes)
