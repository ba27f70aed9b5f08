"""Readers of AVSBench-object: five-second clips with masks of one (S4) or several sources (MS3)."""

from pathlib import Path
from typing import Literal

from avblocks.data.datasets import avss
from avblocks.data.datasets.clipset import ClipSet, Item
from avblocks.data.datasets.disk import plain_name
from avblocks.data.datasets.segmentation import find_images, segmented, split_rows
from avblocks.shapes import require_choice

_NUMBERS = range(1, 6)
_LATER = -1 / 16  # the last of sixteen frames of each second was taken


def avsbench_s4(root: str | Path, *, split: Literal["train", "val", "test"]) -> ClipSet:
    """List one split of AVSBench S4, with one source per clip.

    ``root`` contains ``Single-source/s4_meta_data.csv`` (id in the first column; ``category``,
    ``split``) and in ``Single-source/s4_data``, for n from 1 to 5:
    ``visual_frames/SPLIT/CATEGORY/ID/ID_n.png``, ``gt_masks/SPLIT/CATEGORY/ID/ID_n.png`` (in the
    training split only for n = 1) and ``audio_wav/SPLIT/CATEGORY/ID.wav``. Without
    ``Single-source``, ``root`` may be the folder of AVSS, whose ``v1s`` are these clips, see
    ``avsbench_avss``.

    Returns:
        The clips in the order of the csv, each with several images; ``per_frame`` splits them into
        one clip per image with a mask. Classes are the categories of all splits, in alphabetical
        order.

    Raises:
        ValueError: If the csv is missing or wrong.

    Source: Zhou et al., "Audio-visual segmentation" (ECCV 2022), and its preprocess_s4.py.
    """
    require_choice(*avss.SPLITS, split=split)
    if _in_avss(Path(root), "Single-source"):
        return avss.objects(Path(root), name="avsbench-s4", split=split, label="v1s")
    base = Path(root) / "Single-source" / "s4_data"
    rows = _rows(Path(root) / "Single-source" / "s4_meta_data.csv", columns=("category",))
    classes = tuple(sorted({row["category"] for row in rows.values()}))
    wanted = {
        key: _item(
            key,
            base=base,
            frames=Path("visual_frames", split, row["category"], key, key),
            masks=Path("gt_masks", split, row["category"], key, key),
            audio=Path("audio_wav", split, row["category"], f"{key}.wav"),
            labels=(classes.index(row["category"]),),
        )
        for key, row in rows.items()
        if row["split"] == split
    }
    counts = dict.fromkeys(wanted, len(_NUMBERS))
    return segmented(f"avsbench-s4 {split}", wanted, classes=classes, counts=counts)


def avsbench_ms3(root: str | Path, *, split: Literal["train", "val", "test"]) -> ClipSet:
    """List one split of AVSBench MS3, with several sources per clip in one binary mask.

    ``root`` contains ``Multi-sources/ms3_meta_data.csv`` (id in the first column; ``split``) and in
    ``Multi-sources/ms3_data``, for n from 1 to 5: ``visual_frames/ID/ID.mp4_n.png``,
    ``gt_masks/SPLIT/ID/ID_n.png`` and ``audio_wav/SPLIT/ID.wav``. Without ``Multi-sources``,
    ``root`` may be the folder of AVSS, whose ``v1m`` are these clips, see ``avsbench_avss``.

    Returns:
        The clips in the order of the csv, as in ``avsbench_s4``, without classes.

    Raises:
        ValueError: If the csv is missing or wrong.

    Source: See ``avsbench_s4``.
    """
    require_choice(*avss.SPLITS, split=split)
    if _in_avss(Path(root), "Multi-sources"):
        return avss.objects(Path(root), name="avsbench-ms3", split=split, label="v1m")
    base = Path(root) / "Multi-sources" / "ms3_data"
    rows = _rows(Path(root) / "Multi-sources" / "ms3_meta_data.csv")
    wanted = {
        key: _item(
            key,
            base=base,
            frames=Path("visual_frames", key, f"{key}.mp4"),
            masks=Path("gt_masks", split, key, key),
            audio=Path("audio_wav", split, f"{key}.wav"),
        )
        for key, row in rows.items()
        if row["split"] == split
    }
    counts = dict.fromkeys(wanted, len(_NUMBERS))
    return segmented(f"avsbench-ms3 {split}", wanted, classes=(), counts=counts)


def _in_avss(root: Path, folder: str) -> bool:
    """Return whether the clips are in a copy of AVSS."""
    return not (root / folder).is_dir() and (root / avss.TABLE).is_file()


def _rows(table: Path, *, columns: tuple[str, ...] = ()) -> dict[str, dict[str, str]]:
    """Read the rows of a csv by id, which is the first column under any name."""
    rows = {}
    for line, row in split_rows(table, columns=columns):
        key = next(iter(row.values()))
        for name in (key, *(row[column] for column in columns)):
            plain_name(name, where=f"{table}, line {line}")
        rows[key] = row
    return rows


def _item(
    key: str, *, base: Path, frames: Path, masks: Path, audio: Path, labels: tuple[int, ...] = ()
) -> Item:
    """Build the item of a clip; ``frames`` and ``masks`` are paths without the number."""
    images = find_images(
        lambda number: base / f"{frames}_{number}.png",
        lambda number: base / f"{masks}_{number}.png",
        numbers=_NUMBERS,
        later=_LATER,
        binary=True,
    )
    return Item(id=key, path=str(base / audio), labels=labels, images=images)
