"""Reader of VGGSound: ten-second clips of 309 classes."""

import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Literal

from avblocks.data.datasets.clipset import ClipSet, labeled_set
from avblocks.data.datasets.disk import read_rows
from avblocks.data.datasets.segments import FoundClips, Segment, find_clips, youtube_id
from avblocks.shapes import require_choice


def vggsound(root: str | Path, *, split: Literal["train", "test"]) -> ClipSet:
    """List one split of VGGSound.

    ``root/vggsound.csv`` has lines ``youtube id, start second, label, split``. The clips are at any
    depth below ``root`` as ``ID_ssssss_eeeeee.mp4``, ``ID_ssssss.mp4`` or one of the other names
    that `find_clips` knows. Lines with the same id and start second are one clip with several
    labels; training clips that the test lists too are left out. Instead of videos, there may be
    ``audio/ID_ssssss.wav`` and ``frames/ID_ssssss.jpg``, or ``frames/frame_0/ID_ssssss.jpg`` and so
    on, see ``stills``.

    Returns:
        The clips in the order of the csv; classes in alphabetical order, from both splits.

    Raises:
        ValueError: If the csv or the clips are missing, or a line is wrong.

    Source: Chen et al., "VGGSound: a large-scale audio-visual dataset" (ICASSP 2020).
    """
    root = Path(root)
    names, wanted, others = vggsound_labels(root / "vggsound.csv", split=split)
    tested = wanted.keys() & others.keys() if split == "train" else set[str]()
    wanted = {key: some for key, some in wanted.items() if key not in tested}
    classes = tuple(sorted(names))
    number = {label: index for index, label in enumerate(classes)}
    labels = {key: tuple(number[name] for name in names) for key, names in wanted.items()}
    found = vggsound_clips(root, (*wanted, *others))
    remarks = (*found.remarks(segments(wanted)), *also_tested(tested))
    return labeled_set(f"vggsound {split}", labels, found.items, classes=classes, remarks=remarks)


def also_tested(keys: Collection[str]) -> tuple[str, ...]:
    """Return a remark for the report if training clips are left out, since they are test clips."""
    if not keys:
        return ()
    what = f"{len(keys)} training clips that are test clips too are left out"
    return (f"{what}, such as {min(keys)}",)


def vggsound_labels(
    table: Path, *, split: Literal["train", "test"]
) -> tuple[set[str], dict[str, list[str]], dict[str, None]]:
    """Read the csv of VGGSound.

    Returns:
        The labels of both splits, the labels of each clip ``ID_ssssss`` of the wanted split, and
        the names of the clips of the other split.

    Raises:
        ValueError: If the csv is missing, or a line is wrong.
    """
    require_choice("train", "test", split=split)
    wanted: dict[str, list[str]] = {}
    names, others = set[str](), dict[str, None]()
    for line, (youtube, start, label, part) in read_rows(table, columns=4):
        if not start.isdecimal() or part not in ("train", "test"):
            raise ValueError(
                f"{table}, line {line}: expected a start second and train or test, "
                f"got {start!r} and {part!r}"
            )
        if not label:
            raise ValueError(f"{table}, line {line}: no label: {youtube},{start},,{part}")
        names.add(label)
        key = f"{youtube_id(youtube, where=f'{table}, line {line}')}_{int(start):06d}"
        if part != split:
            others[key] = None
        elif label not in wanted.setdefault(key, []):
            wanted[key].append(label)
    return names, wanted, others


def vggsound_clips(root: Path, keys: Iterable[str]) -> FoundClips:
    """Find the clips named ``ID_ssssss`` in a folder, at any depth."""
    return find_clips(root, segments(keys))


def segments(keys: Iterable[str]) -> dict[str, Segment]:
    """Parse the id and start of names of the form ``ID_ssssss``; other names are skipped."""
    named = (re.fullmatch(r"(.{11})_(\d{6})", key) for key in keys)
    return {match[0]: Segment(match[1], float(match[2])) for match in named if match}
