"""Reader of VGGSound-Music: VGGSound clips of 49 classes of music, for sound separation."""

from pathlib import Path
from typing import Literal

from avblocks.data.datasets.annotations import read_table
from avblocks.data.datasets.clipset import ClipSet, labeled_set
from avblocks.data.datasets.pairs import COLUMNS, class_key
from avblocks.data.datasets.vggsound import (
    also_tested,
    segments,
    vggsound_clips,
    vggsound_labels,
)
from avblocks.shapes import require_choice

PAIRS = "vggmusic_eval_ss.csv"


def vggsound_music(root: str | Path, *, split: Literal["train", "test"]) -> ClipSet:
    """List one split of VGGSound-Music.

    ``root`` contains ``vggmusic_eval_ss.csv`` and the clips, laid out as for ``vggsound``. The csv
    defines the classes and the test clips, which ``pairs`` pairs. The training clips are those of
    these classes in ``vggsound.csv``, also in ``root``, without those of its test split or in a
    pair.

    Returns:
        The clips in the order of their csv. Classes are named as in the pairs, in alphabetical
        order.

    Raises:
        ValueError: If a table or the clips are missing, or a line is wrong.

    Source: Mo and Morgado, "A unified audio-visual learning framework for localization, separation,
    and recognition" (ICML 2023).
    """
    root = Path(root)
    require_choice("train", "test", split=split)
    sources = _sources(root / PAIRS)
    classes = tuple(sorted(set(sources.values())))
    number = {class_key(name): index for index, name in enumerate(classes)}
    labels, tested = {key: (number[class_key(name)],) for key, name in sources.items()}, set[str]()
    if split == "train":
        labels, others = _training_labels(root / "vggsound.csv", number)
        tested = labels.keys() & (others.keys() | sources.keys())
        labels = {key: numbers for key, numbers in labels.items() if key not in tested}
    found = vggsound_clips(root, {**labels, **sources})
    remarks = (*found.remarks(segments(labels)), *also_tested(tested))
    return labeled_set(
        f"vggsound-music {split}", labels, found.items, classes=classes, remarks=remarks
    )


def _sources(table: Path) -> dict[str, str]:
    """Read the class of each clip that is in a pair."""
    sources: dict[str, str] = {}
    for line, row in read_table(table, columns=COLUMNS):
        for key, name in ((row["source_1"], row["class_1"]), (row["source_2"], row["class_2"])):
            if sources.setdefault(key, name) != name:
                raise ValueError(
                    f"{table}, line {line}: class {name!r} for {key}, which had {sources[key]!r} "
                    "before; correct one of them"
                )
    return sources


def _training_labels(
    table: Path, number: dict[str, int]
) -> tuple[dict[str, tuple[int, ...]], dict[str, None]]:
    """Return the class numbers of the training clips of these classes, and the test clips."""
    _, listed, others = vggsound_labels(table, split="train")
    keys = {clip: dict.fromkeys(map(class_key, names)) for clip, names in listed.items()}
    labels = {clip: tuple(number[k] for k in names if k in number) for clip, names in keys.items()}
    return {clip: numbers for clip, numbers in labels.items() if numbers}, others
