"""Reader of MUSIC: videos of solos and duets of 11 instruments (MUSIC-21: 21 instruments)."""

import re
from pathlib import Path
from typing import Literal

from avblocks.data.datasets.annotations import AGAIN, class_numbers
from avblocks.data.datasets.clipset import ClipSet, Item, labeled_set
from avblocks.data.datasets.disk import files_by_id, read_rows
from avblocks.jsonfile import read_json
from avblocks.shapes import require_choice

_TABLES = {
    "solo": "MUSIC_solo_videos.json",
    "duet": "MUSIC_duet_videos.json",
    "solo21": "MUSIC21_solo_videos.json",
}
# A whole video, a video trimmed as in VGGSound, or a numbered piece with its start second.
_WHOLE = re.compile(r"(?P<id>.{11})(?:_\d{6}_\d{6})?")
PIECE = re.compile(r"(?P<id>(?P<video>.{11})_\d{3}_\d{5})")


def music(
    root: str | Path, *, part: Literal["solo", "duet", "solo21"], pieces: str | Path | None = None
) -> ClipSet:
    """List one part of MUSIC.

    ``root`` contains the published JSON file of the part (for duets also
    ``MUSIC_solo_videos.json``) and, at any depth, the videos: ``ID.mp4`` or
    ``ID_ssssss_eeeeee.mp4``. With ``pieces``, a csv of ``ID_nnn_sssss`` lines such as
    ``music_duet_test.csv``, the clips are these pieces of videos, ``ID_nnn_sssss.mp4``. "solo21"
    are the solos of MUSIC-21.

    Returns:
        The clips in the order of the file. Classes are the instruments of the solos, in
        alphabetical order; a duet has two labels.

    Raises:
        ValueError: If an annotation or the videos are missing, or an entry is wrong.

    Source: Zhao et al., "The sound of pixels" (ECCV 2018); MUSIC-21: "The sound of motions" (2019).
    """
    root = Path(root)
    require_choice(*_TABLES, part=part)
    solos = _groups(root / _TABLES["solo" if part == "duet" else part])
    classes = tuple(sorted(solos))
    groups = solos if part != "duet" else _groups(root / _TABLES["duet"])
    labels = _labels(root / _TABLES[part], groups, classes)
    if pieces is not None:
        labels = _pieces(Path(pieces), labels)
    paths, remarks = files_by_id(root, _WHOLE if pieces is None else PIECE, labels)
    items = {key: Item(id=key, path=path) for key, path in paths.items()}
    return labeled_set(f"music {part}", labels, items, classes=classes, remarks=remarks)


def _groups(table: Path) -> dict[str, list[str]]:
    """Read the ids of the videos of each instrument, or pair of instruments."""
    return read_json(table, {"videos": {"*": [str]}}, remedy=AGAIN)["videos"]


def _labels(
    table: Path, groups: dict[str, list[str]], classes: tuple[str, ...]
) -> dict[str, tuple[int, ...]]:
    """Return the class numbers of each video, over all groups that list it."""
    number = {name: index for index, name in enumerate(classes)}
    labels: dict[str, tuple[int, ...]] = {}
    for group, keys in groups.items():
        numbers = class_numbers(
            group.split(),
            number,
            where=f"{table}, key {group!r}",
            kind="instruments",
            remedy=f"the solos have {', '.join(classes)}",
        )
        for key in keys:
            labels[key] = tuple(dict.fromkeys((*labels.get(key, ()), *numbers)))
    return labels


def _pieces(table: Path, labels: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """Return the class numbers of each piece of a video."""
    pieces = {}
    for line, row in read_rows(table, columns=None):
        match = PIECE.fullmatch(row[0])
        if not match or match["video"] not in labels:
            raise ValueError(
                f"{table}, line {line}: expected ID_nnn_sssss with the ID of a video that the "
                f"JSON file lists, got {row[0]!r}"
            )
        pieces[row[0]] = labels[match["video"]]
    return pieces
