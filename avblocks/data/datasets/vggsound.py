"""VGGSound: ten-second clips of 309 classes, as its csv and the usual folders hold them."""

import re
from pathlib import Path
from typing import Literal

from avblocks.data.datasets.clipset import ClipSet, labeled_set
from avblocks.data.datasets.disk import files_by_id, read_rows

_STEM = re.compile(r"(?P<id>.{11}_\d{6})(?:_\d{6})?")


def vggsound(root: str | Path, *, split: Literal["train", "test"]) -> ClipSet:
    """List one split of VGGSound.

    ``root/vggsound.csv`` has lines ``youtube id, start second, label, split``; the clips are
    anywhere below ``root`` as ``ID_ssssss_eeeeee.mp4`` or ``ID_ssssss.mp4``, in folders of classes
    or flat. Lines that share id and start second are one clip of several labels.

    Returns:
        The clips in the order of the csv; classes in alphabetical order, from both splits.

    Raises:
        ValueError: If the csv or the clips are missing, or a line is wrong.

    Source: Chen et al., "VGGSound: a large-scale audio-visual dataset" (ICASSP 2020).
    """
    root = Path(root)
    names, wanted = vggsound_labels(root / "vggsound.csv", split=split)
    classes = tuple(sorted(names))
    number = {label: index for index, label in enumerate(classes)}
    labels = {key: tuple(number[name] for name in names) for key, names in wanted.items()}
    return labeled_set(f"vggsound {split}", labels, vggsound_files(root), classes=classes)


def vggsound_labels(
    table: Path, *, split: Literal["train", "test"]
) -> tuple[set[str], dict[str, list[str]]]:
    """Read the labels of both splits, and those of each ``ID_ssssss`` of one, from the csv.

    Raises:
        ValueError: If the csv is missing, or a line is wrong.
    """
    wanted: dict[str, list[str]] = {}
    names = set()
    for line, (youtube, start, label, part) in read_rows(table, columns=4):
        if not start.isdecimal() or part not in ("train", "test"):
            raise ValueError(
                f"{table}, line {line}: expected a start second and train or test, "
                f"got {start!r} and {part!r}"
            )
        names.add(label)
        if part == split:
            wanted.setdefault(f"{youtube}_{int(start):06d}", []).append(label)
    return names, wanted


def vggsound_files(root: Path) -> dict[str, str]:
    """Map ``ID_ssssss`` to the file of that clip, anywhere below a folder."""
    return files_by_id(root, _STEM)
