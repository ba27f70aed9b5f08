"""Access to scenes on disk, for writing them in the layouts of other data sets."""

from collections.abc import Callable, Mapping
from pathlib import Path

from avblocks.data.scenes.classes import Split
from avblocks.data.scenes.dataset import MANIFEST, read_manifest
from avblocks.data.scenes.files import write_all
from avblocks.data.scenes.render import Scene, SceneSpec
from avblocks.data.scenes.source import DrawnScenes, SceneSource

Place = tuple[Split, int]
"""Split and number of a scene."""


def stored(root: Path, source: SceneSource | None = None) -> tuple[SceneSource, tuple[Place, ...]]:
    """Return the source of the scenes in a folder, and the split and number of each.

    Args:
        root: The folder.
        source: The source of composed scenes; that of drawn scenes is read from the folder.

    Raises:
        ValueError: If there are no scenes, or they are of another source.
    """
    if not (root / MANIFEST).is_file():
        raise ValueError(f"{root}: holds no scenes; make them there first, with scenes(...)")
    found = read_manifest(root)
    if source is None:
        if "classes" in found:
            raise ValueError(f"{root}: holds composed scenes; give the source that composed them")
        known = {k: v for k, v in found["settings"].items() if k != "version"}
        source = DrawnScenes(SceneSpec(**known))
    elif dict(source.settings()) != found["settings"]:
        raise ValueError(f"{root}: holds scenes of other settings; give their source")
    splits: tuple[Split, ...] = ("train", "test")
    return source, tuple((split, n) for split in splits for n in range(found["counts"][split]))


def write_scenes(
    root: Path,
    places: Mapping[Place, Path],
    *,
    write: Callable[[Scene, Place], None],
    source: SceneSource,
    workers: int,
) -> None:
    """Render and write scenes, except those whose last file, in ``places``, exists."""

    def task(place: Place) -> None:
        if not places[place].is_file():
            write(source.render(place[1], split=place[0]), place)

    write_all(task, list(places), name=f"scenes in {root}", workers=workers)


def frame_at(scene: Scene, time: float, *, fps: float) -> int:
    """Return the index of the frame shown at a time."""
    return min(int(time * fps), len(scene.frames) - 1)
