"""Scenes in the layouts of AVSBench: S4, MS3 and AVSS."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import UInt8

from avblocks.csvlog import write_csv
from avblocks.data.scenes.render import ClipSpec, Scene, scene_id
from avblocks.data.scenes.source import SceneSource
from avblocks.data.scenes.store import Place, frame_at, stored, write_scenes
from avblocks.data.write import write_image, write_wave
from avblocks.files import write_text
from avblocks.shapes import require_choice


@dataclass(frozen=True)
class _Layout:
    """File name templates of a part of AVSBench, with id, split, class names and image number n."""

    table: str
    columns: dict[str, str]
    frame: str
    mask: str
    audio: str
    numbers: range
    later: float


_S4, _MS3 = "Single-source/s4_data", "Multi-sources/ms3_data"
_LAYOUTS = {
    "s4": _Layout(
        table="Single-source/s4_meta_data.csv",
        columns={"name": "{id}", "start": "0", "category": "{name}", "split": "{split}"},
        frame=_S4 + "/visual_frames/{split}/{name}/{id}/{id}_{n}.png",
        mask=_S4 + "/gt_masks/{split}/{name}/{id}/{id}_{n}.png",
        audio=_S4 + "/audio_wav/{split}/{name}/{id}.wav",
        numbers=range(1, 6),
        later=-1 / 16,
    ),
    "ms3": _Layout(
        table="Multi-sources/ms3_meta_data.csv",
        columns={"name": "{id}", "split": "{split}"},
        frame=_MS3 + "/visual_frames/{id}/{id}.mp4_{n}.png",
        mask=_MS3 + "/gt_masks/{split}/{id}/{id}_{n}.png",
        audio=_MS3 + "/audio_wav/{split}/{id}.wav",
        numbers=range(1, 6),
        later=-1 / 16,
    ),
    "avss": _Layout(
        table="metadata.csv",
        columns={"vid": "{id}", "uid": "{id}", "s_min": "0", "s_sec": "0"}
        | {"a_obj": "{name}", "split": "{split}", "label": "v2"},
        frame="v2/{id}/frames/{n}.jpg",
        mask="v2/{id}/labels_semantic/{n}.png",
        audio="v2/{id}/audio.wav",
        numbers=range(10),
        later=0.5,
    ),
}


def scenes_as_avsbench(
    root: str | Path,
    *,
    part: Literal["s4", "ms3", "avss"],
    workers: int = 2,
    source: SceneSource | None = None,
    val: bool = True,
) -> Path:
    """Write scenes in the layout of a part of AVSBench, in the subfolder ``avsbench``.

    S4 contains the solos, and MS3 the duets for training. Even test scenes become the test split,
    odd ones with ``val`` the validation split. There is one image per whole second of a scene.

    Returns:
        The subfolder, an argument for ``avsbench_s4``, ``avsbench_ms3`` or ``avsbench_avss``.

    Raises:
        ValueError: If the folder contains no scenes.
    """
    require_choice(*_LAYOUTS, part=part)
    root, layout = Path(root), _LAYOUTS[part]
    base = root / "avsbench"
    source, places = stored(root, source)
    kept = [place for place in places if _belongs(place, part, source)]
    fields = {place: _fields(place, source, val=val) for place in kept}
    write_scenes(
        root,
        {place: base / layout.audio.format(**names) for place, names in fields.items()},
        write=partial(_write, base=base, layout=layout, fields=fields, spec=source.spec),
        source=source,
        workers=workers,
    )
    rows = ([t.format(**f) for t in layout.columns.values()] for f in fields.values())
    write_csv(base / layout.table, list(layout.columns), rows)
    names = ("background", *map(_object, source.classes))
    numbers = {name: number for number, name in enumerate(names, start=1)}
    write_text(base / "label2idx.json", json.dumps(numbers))
    return base


def _belongs(place: Place, part: str, source: SceneSource) -> bool:
    """Return whether a part includes a scene."""
    solo = len(source.sounding(place[1], split=place[0])) == 1
    return part == "avss" or (solo if part == "s4" else place[0] == "test" or not solo)


def _fields(place: Place, source: SceneSource, *, val: bool) -> dict[str, str]:
    """Return the template fields of the file names of a scene."""
    split, number = place
    return {
        "id": scene_id(number, split=split),
        "split": "train" if split == "train" else ("test", "val")[val and number % 2],
        "name": "_".join(
            _object(source.classes[label]) for label in source.sounding(number, split=split)
        ),
    }


def _object(name: str) -> str:
    """Return the name of a class without spaces and underscores, which separate classes."""
    return name.replace(" ", "-").replace("_", "-")


def _write(
    scene: Scene,
    place: Place,
    *,
    base: Path,
    layout: _Layout,
    fields: Mapping[Place, dict[str, str]],
    spec: ClipSpec,
) -> None:
    """Write the images, masks and audio of a scene."""
    names = fields[place]
    semantic = layout is _LAYOUTS["avss"]
    for n in layout.numbers[: int(spec.seconds)]:
        number = frame_at(scene, n + layout.later, fps=spec.fps)
        write_image(base / layout.frame.format(n=n, **names), scene.frames[number])
        first_only = layout is _LAYOUTS["s4"] and names["split"] == "train"
        if n == layout.numbers[0] or not first_only:
            mask = _mask(scene, number, semantic=semantic)
            write_image(base / layout.mask.format(n=n, **names), mask)
    write_wave(base / layout.audio.format(**names), scene.audio, rate=spec.rate)


def _mask(scene: Scene, number: int, *, semantic: bool) -> UInt8[np.ndarray, "height width"]:
    """Return the class numbers of the pixels, from 1 on, or a mask of all sources in white."""
    values = np.array(scene.labels)[:, None, None] + 1 if semantic else 255
    return (scene.masks[number] * values).max(axis=0).astype(np.uint8)
