"""Scenes in the layouts of the separation data sets: MUSIC, and the pairs of VGGSound-Music."""

import json
from pathlib import Path

from avblocks.csvlog import write_csv
from avblocks.data.datasets.pairs import COLUMNS
from avblocks.data.datasets.vggsound_music import PAIRS
from avblocks.data.scenes.classes import CLASSES, PARTS, sounding
from avblocks.data.scenes.render import scene_id
from avblocks.data.scenes.source import SceneSource
from avblocks.data.scenes.store import stored
from avblocks.files import write_text


def scenes_as_music(root: str | Path, *, source: SceneSource | None = None) -> Path:
    """Write the lists of solos and duets of MUSIC into a folder of scenes; classes are instruments.

    Returns:
        The folder of the scenes, an argument for ``music``.

    Raises:
        ValueError: If the folder contains no scenes.
    """
    root = Path(root)
    source, places = stored(root, source)
    instruments = [name.replace(" ", "_") for name in source.classes]
    groups: dict[str, dict[str, list[str]]] = {
        "solo": {name: [] for name in instruments},
        "duet": {},
    }
    for split, number in places:
        labels = source.sounding(number, split=split)
        name = " ".join(instruments[label] for label in labels)
        group = groups["solo" if len(labels) == 1 else "duet"]
        group.setdefault(name, []).append(scene_id(number, split=split))
    for part, videos in groups.items():
        text = json.dumps({"version": 1.0, "videos": videos})
        write_text(root / f"MUSIC_{part}_videos.json", text)
    return root


def scenes_as_pairs(root: str | Path) -> Path:
    """Write the list of pairs of VGGSound-Music into a folder of scenes.

    Each test scene is paired with another one. A pair is easy if the timbres differ, and hard if
    the classes differ only in their looks.

    Returns:
        The folder of the scenes, an argument for ``vggsound_music``, with the csv for ``pairs``.

    Raises:
        ValueError: If the folder contains no scenes.
    """
    root = Path(root)
    count = sum(split == "test" for split, _ in stored(root)[1])
    rows = []
    for first in range(count):
        # A different step in each round over the classes, so that all pairs of classes occur.
        second = (first + 1 + first // len(CLASSES) % (len(CLASSES) - 1)) % count
        one, other = (sounding(n, split="test")[0] for n in (first, second))
        if one != other:
            names = (f"{scene_id(n, split='test')}_000000" for n in (first, second))
            level = "Hard" if PARTS[one][0] == PARTS[other][0] else "Easy"
            rows.append([*names, _instrument(one), _instrument(other), level])
    write_csv(root / PAIRS, COLUMNS, rows)
    return root


def _instrument(label: int) -> str:
    """Return the name of a class without spaces."""
    return CLASSES[label].replace(" ", "_")
