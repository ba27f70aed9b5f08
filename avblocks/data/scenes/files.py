"""Files of scenes, in the layout of VGGSound with additional annotations."""

import json
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from avblocks.data.datasets.clipset import Item
from avblocks.data.scenes.classes import Split
from avblocks.data.scenes.render import ClipSpec, Scene, scene_id
from avblocks.data.scenes.source import SceneSource
from avblocks.data.write import write_clip, write_wave
from avblocks.files import replacing
from avblocks.jsonfile import Shape, read_json
from avblocks.progress import progress_bar

T = TypeVar("T")
_NOTES: Shape = {
    "class": [str],
    "boxes": [[[(int, float)]]],
    "silent": [str],
    "bytes": int,
}


def write_scene(root: Path, index: int, *, split: Split, source: SceneSource) -> None:
    """Render a scene and write its files, unless all of them exist."""
    name, labels = scene_id(index, split=split), source.sounding(index, split=split)
    spec, notes = source.spec, root / "annotations" / f"{name}.json"
    clip = _clip_path(root, name, of=source.classes[labels[0]], spec=spec)
    sources = [root / "sources" / f"{name}_{k}.wav" for k in range(len(labels))]
    masks = root / "masks" / f"{name}.npz"
    if all(path.is_file() for path in (*sources, masks)) and _is_whole(clip, notes):
        return
    scene = source.render(index, split=split)
    for path, samples in zip(sources, scene.sources, strict=True):
        write_wave(path, samples, rate=spec.rate)
    with replacing(masks, durable=False) as half, half.open("wb") as file:
        np.savez_compressed(file, bits=np.packbits(scene.masks, axis=-1), shape=scene.masks.shape)
    write_clip(clip, frames=scene.frames, audio=scene.audio, fps=spec.fps, rate=spec.rate)
    with replacing(notes, durable=False) as half:
        half.write_text(json.dumps(_notes(scene, clip, source=source)), encoding="utf-8")


def write_all(write: Callable[[T], object], items: Sequence[T], *, name: str, workers: int) -> None:
    """Call a function for each item in threads, with a progress bar; an error cancels the rest.

    Rendering and encoding release the GIL, so that processes would not be faster.
    """
    pool = ThreadPoolExecutor(workers)
    try:
        for _ in progress_bar(pool.map(write, items), name, total=len(items), unit="clip"):
            pass
    finally:
        pool.shutdown(cancel_futures=True)


def _clip_path(root: Path, name: str, *, of: str, spec: ClipSpec) -> Path:
    """Return the path of a clip in the layout of VGGSound."""
    stem = f"{name}_000000_{math.ceil(spec.seconds):06d}"
    return root / "clips" / of.replace(" ", "_") / f"{stem}.mp4"


def _is_whole(clip: Path, notes: Path) -> bool:
    """Return whether a clip has the size in its annotation, which is written last."""
    if not clip.is_file() or not notes.is_file():
        return False
    try:
        return read_notes(notes)["bytes"] == clip.stat().st_size
    except ValueError:
        return False


def notes_file(root: Path, item: Item) -> Path:
    """Return the annotation of a scene, of which a clip in any layout is made."""
    return root / "annotations" / f"{item.id[:11]}.json"


def read_notes(path: Path) -> dict[str, Any]:
    """Read the annotation of a scene.

    Raises:
        ValueError: If it is missing or wrong.
    """
    return read_json(path, _NOTES, remedy="delete the folder, and make the scenes anew")


def has_silent(item: Item) -> bool:
    """Return whether a clip is known to be a scene with silent objects, in any layout."""
    folders = Path(item.path).parents[2:4]  # of videos, and of the images of AVSBench
    notes = [notes_file(folder, item) for folder in folders]
    return any(read_notes(path)["silent"] for path in notes if path.is_file())


def _notes(scene: Scene, clip: Path, *, source: SceneSource) -> dict[str, object]:
    """Return the annotation of a scene: classes, boxes, silent objects and rates."""
    return {
        "id": scene.id,
        "class": [source.classes[label] for label in scene.labels],
        "boxes": scene.boxes.round(4).tolist(),
        "silent": list(scene.silent),
        "silent_boxes": scene.silent_boxes.round(4).tolist(),
        "offscreen": list(scene.offscreen),
        "fps": source.spec.fps,
        "rate": source.spec.rate,
        "bytes": clip.stat().st_size,
    }
