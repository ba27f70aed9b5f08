"""Scenes: small synthetic audio-visual clips, so that everything runs without downloads.

Colored shapes move over a textured background. Sounding objects move in time with their audio;
silent objects move in time with audio that is not played. The class depends on both image and
audio, see ``classes``.
"""

import json
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from avblocks.csvlog import write_csv
from avblocks.data.datasets.clipset import ClipSet
from avblocks.data.datasets.vggsound import vggsound
from avblocks.data.scenes.classes import CLASSES, Split, sounding
from avblocks.data.scenes.files import write_all, write_scene
from avblocks.data.scenes.render import SceneSpec, scene_id
from avblocks.files import write_text
from avblocks.jsonfile import Shape, read_json

VERSION = 1
"""Incremented when the same settings result in different scenes."""
MANIFEST = "scenes.json"
"""File with the settings and the numbers of the scenes in a folder."""
_COUNTS = {"train": 240, "test": 120}


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
    root, spec = Path(root), spec or SceneSpec()
    count = _COUNTS[split] if num_clips is None else num_clips
    if count < 1 or workers < 1:
        raise ValueError(f"num_clips and workers must be at least 1, got {count} and {workers}")
    counts = _claim(root, spec=spec)
    task = partial(write_scene, root, split=split, spec=spec)
    write_all(task, range(count), name=f"scenes {split}", workers=workers)
    counts[split] = max(count, counts[split])
    _publish(root, counts=counts, spec=spec)
    return _read(root, split=split, count=count)


def _claim(root: Path, *, spec: SceneSpec) -> dict[Split, int]:
    """Check that a folder is empty or has the same settings; return how many scenes it lists."""
    counts: dict[Split, int] = {"train": 0, "test": 0}
    manifest = root / MANIFEST
    if not manifest.is_file():
        others = [p.name for p in root.iterdir() if p.suffix != ".tmp"] if root.is_dir() else []
        if others:
            raise ValueError(
                f"{root}: holds other files ({others[0]}) and no scenes; scenes are only written "
                "into a folder of their own"
            )
        _publish(root, counts=counts, spec=spec)
        return counts
    found = read_manifest(root)
    # A folder written before a setting was introduced has scenes of the default.
    if _settings(SceneSpec()) | found["settings"] != _settings(spec):
        raise ValueError(
            f"{root}: holds scenes of other settings ({found['settings']}, wanted "
            f"{_settings(spec)}); name another folder or delete this one"
        )
    return counts | found["counts"]


def read_manifest(root: Path) -> dict[str, Any]:
    """Read settings and counts of the scenes in a folder.

    Raises:
        ValueError: If the file is missing or wrong.
    """
    path, remedy = root / MANIFEST, "delete the folder, and make the scenes anew"
    counts: Shape = {"train": int, "test": int}
    found = read_json(path, {"settings": {"*": (int, float)}, "counts": counts}, remedy=remedy)
    unknown = found["settings"].keys() - _settings(SceneSpec()).keys()
    if unknown:
        raise ValueError(f"{path}: no such setting: {min(unknown)!r}; {remedy}")
    return found


def _publish(root: Path, *, counts: dict[Split, int], spec: SceneSpec) -> None:
    """Write the csv of all scenes, with one line per sounding object, and the manifest."""
    # The manifest first, since it marks the folder as one of scenes.
    write_text(root / MANIFEST, json.dumps({"settings": _settings(spec), "counts": counts}))
    rows = (
        [scene_id(index, split=split), 0, CLASSES[label], split]
        for split, count in counts.items()
        for index in range(count)
        for label in sounding(index, split=split)
    )
    write_csv(root / "vggsound.csv", (), rows)


def _settings(spec: SceneSpec) -> dict[str, float]:
    """Return the settings and version that determine the scenes of a folder."""
    return {"version": VERSION, **asdict(spec)}


def _read(root: Path, *, split: Split, count: int) -> ClipSet:
    """List the scenes on disk, with class numbers out of all twelve, however few are listed."""
    listed = vggsound(root, split=split)
    numbers = [CLASSES.index(name) for name in listed.classes]
    items = tuple(
        replace(item, labels=tuple(numbers[label] for label in item.labels))
        for item in listed.items[:count]
    )
    return ClipSet(name=f"scenes {split}", items=items, classes=CLASSES)
