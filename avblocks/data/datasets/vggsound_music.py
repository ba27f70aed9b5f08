"""VGGSound-Music: VGGSound's clips of 49 classes of music, to mix and to separate."""

from pathlib import Path
from typing import Literal

from avblocks.data.datasets.annotations import read_table
from avblocks.data.datasets.clipset import ClipSet, Item
from avblocks.data.datasets.pairs import COLUMNS, class_key
from avblocks.data.datasets.vggsound import vggsound_files, vggsound_labels

PAIRS = "vggmusic_eval_ss.csv"


def vggsound_music(root: str | Path, *, split: Literal["train", "test"]) -> ClipSet:
    """List one split of VGGSound-Music.

    ``root`` holds ``vggmusic_eval_ss.csv`` and the clips, as ``vggsound`` finds them. The classes
    are those of that csv, its sources are the test clips, and ``pairs`` pairs them. To train,
    ``root`` also holds ``vggsound.csv``, whose training clips of these classes are taken.

    Args:
        root: Folder of the tables and the clips.
        split: Which split.

    Returns:
        The clips in the order of their csv; the names of the classes are those in the pairs, in
        alphabetical order.

    Raises:
        ValueError: If a table or the clips are missing, or a line is wrong.

    Source: Mo and Morgado, "A unified audio-visual learning framework for localization, separation,
    and recognition" (ICML 2023).
    """
    root = Path(root)
    sources = _sources(root / PAIRS)
    classes = tuple(sorted(set(sources.values())))
    number = {class_key(name): index for index, name in enumerate(classes)}
    if split == "train":
        return _train(root, classes=classes, number=number)
    paths = vggsound_files(root)
    return ClipSet(
        name="vggsound-music test",
        items=tuple(
            Item(id=key, path=paths[key], labels=(number[class_key(name)],))
            for key, name in sources.items()
            if key in paths
        ),
        classes=classes,
        missing=tuple(key for key in sources if key not in paths),
    )


def _sources(table: Path) -> dict[str, str]:
    """Class of each clip that is in a pair."""
    sources: dict[str, str] = {}
    for line, row in read_table(table, columns=COLUMNS):
        for key, name in ((row["source_1"], row["class_1"]), (row["source_2"], row["class_2"])):
            if sources.setdefault(key, name) != name:
                raise ValueError(
                    f"{table}, line {line}: class {name!r} for {key}, which had {sources[key]!r} "
                    "before; correct one of them"
                )
    return sources


def _train(root: Path, *, classes: tuple[str, ...], number: dict[str, int]) -> ClipSet:
    """Take the training clips that have one of the classes."""
    _, listed = vggsound_labels(root / "vggsound.csv", split="train")
    keys = {key: [class_key(name) for name in names] for key, names in listed.items()}
    wanted = {
        key: tuple(number[name] for name in names if name in number)
        for key, names in keys.items()
        if any(name in number for name in names)
    }
    paths = vggsound_files(root)
    return ClipSet(
        name="vggsound-music train",
        items=tuple(Item(id=k, path=paths[k], labels=wanted[k]) for k in wanted if k in paths),
        classes=classes,
        missing=tuple(key for key in wanted if key not in paths),
    )
