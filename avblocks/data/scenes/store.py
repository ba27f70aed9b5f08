"""Scenes that are on disk already, to be written in the layouts of other data sets."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tqdm import tqdm

from avblocks.data.datasets.annotations import read_json
from avblocks.data.scenes.classes import Split
from avblocks.data.scenes.dataset import MANIFEST
from avblocks.data.scenes.render import Scene, SceneSpec, render

Place = tuple[Split, int]
"""Split and number of a scene."""


def stored(root: Path) -> tuple[SceneSpec, tuple[Place, ...]]:
    """Say which scenes a folder holds.

    Args:
        root: The folder that ``scenes`` was given.

    Returns:
        Their settings, and split and number of each.

    Raises:
        ValueError: If there are none.
    """
    if not (root / MANIFEST).is_file():
        raise ValueError(f"{root}: holds no scenes; make them there first, with scenes(...)")
    found = read_json(root / MANIFEST)
    spec = SceneSpec(**{k: v for k, v in found["settings"].items() if k != "version"})
    splits: tuple[Split, ...] = ("train", "test")
    return spec, tuple((split, n) for split in splits for n in range(found["counts"][split]))


def write_scenes(
    root: Path,
    places: tuple[Place, ...],
    *,
    write: Callable[[Scene, Place], None],
    done: Callable[[Place], Path],
    workers: int,
) -> None:
    """Render scenes and write each, unless it is there.

    Args:
        root: The folder that ``scenes`` was given.
        places: Which scenes.
        write: Writes one, the file that ``done`` names last.
        done: Names that file.
        workers: Threads that render.
    """
    spec, _ = stored(root)

    def task(place: Place) -> None:
        if not done(place).is_file():
            write(render(place[1], split=place[0], spec=spec), place)

    with ThreadPoolExecutor(workers) as pool:
        for _ in tqdm(pool.map(task, places), f"scenes in {root}", len(places), unit="clip"):
            pass


def frame_at(scene: Scene, time: float, *, fps: float) -> int:
    """Number of the frame that is shown at a time."""
    return min(int(time * fps), len(scene.frames) - 1)
