"""Access to scenes on disk, for writing them in the layouts of other data sets."""

from collections.abc import Callable, Mapping
from pathlib import Path

from avblocks.data.scenes.classes import Split
from avblocks.data.scenes.dataset import MANIFEST, read_manifest
from avblocks.data.scenes.files import write_all
from avblocks.data.scenes.render import Scene, SceneSpec, render

Place = tuple[Split, int]
"""Split and number of a scene."""


def stored(root: Path) -> tuple[SceneSpec, tuple[Place, ...]]:
    """Return the settings of the scenes in a folder, and the split and number of each.

    Raises:
        ValueError: If there are no scenes.
    """
    if not (root / MANIFEST).is_file():
        raise ValueError(f"{root}: holds no scenes; make them there first, with scenes(...)")
    found = read_manifest(root)
    spec = SceneSpec(**{k: v for k, v in found["settings"].items() if k != "version"})
    splits: tuple[Split, ...] = ("train", "test")
    return spec, tuple((split, n) for split in splits for n in range(found["counts"][split]))


def write_scenes(
    root: Path,
    places: Mapping[Place, Path],
    *,
    write: Callable[[Scene, Place], None],
    spec: SceneSpec,
    workers: int,
) -> None:
    """Render and write scenes, except those whose last file, in ``places``, exists."""

    def task(place: Place) -> None:
        if not places[place].is_file():
            write(render(place[1], split=place[0], spec=spec), place)

    write_all(task, list(places), name=f"scenes in {root}", workers=workers)


def frame_at(scene: Scene, time: float, *, fps: float) -> int:
    """Return the index of the frame shown at a time."""
    return min(int(time * fps), len(scene.frames) - 1)
