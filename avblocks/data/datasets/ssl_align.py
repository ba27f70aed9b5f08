"""Readers of IS3 and VPO: images with the audio of one of their objects, its box and its mask."""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Literal, get_args

from avblocks.data.datasets.annotations import AGAIN, checked_box
from avblocks.data.datasets.clipset import Box, ClipSet, Item, StillImage, listed_set
from avblocks.data.datasets.disk import plain_name
from avblocks.jsonfile import read_json

Annotation = Literal["boxes", "masks"]
_SIDE = 224  # pixels, side of the images to which the published boxes refer


def is3(root: str | Path, *, annotation: Annotation = "boxes") -> ClipSet:
    """List IS3 (interactive synthetic sound sources): two pairs per image, one for each source.

    ``root`` contains ``synthetic3240_bbox.json`` or, for masks, ``synthetic3240_seg.json``: entries
    of ``image``, ``audio`` and ``gt_box``, which is left, top, right and bottom in pixels of an
    image of 224 x 224, or the file of a mask. Only the last folder and the name of each path
    are used: ``visual_frames/NAME.jpg``, ``audio_wav/NAME.wav`` and ``gt_masks/NAME.jpg``. ``NAME``
    is that of the image, ``_`` and its sounding source.

    Returns:
        The pairs in the order of the file, without labels.

    Raises:
        ValueError: If the annotation is missing, or an entry is wrong.

    Source: Senocak et al., "Aligning sight and sound" (arXiv 2407.13676); files in the folder
    ``metadata`` of github.com/kaistmm/SSLalignment.
    """
    return _listed(Path(root), "synthetic3240", annotation, name="is3")


def vpo_ss(root: str | Path, *, annotation: Annotation = "boxes") -> ClipSet:
    """List VPO-SS, images of one source: ``vpo_ss_bbox.json`` or ``vpo_ss_seg.json``.

    The form is that of `is3`, with masks in the folder that the file names, ``gray_masks``.
    """
    return _listed(Path(root), "vpo_ss", annotation, name="vpo-ss")


def vpo_ms(root: str | Path, *, annotation: Annotation = "boxes") -> ClipSet:
    """List VPO-MS, images of several sources: ``vpo_ms_bbox.json`` or ``vpo_ms_seg.json``.

    The form is that of `is3`, with masks in the folder that the file names, ``gray_masks``.
    """
    return _listed(Path(root), "vpo_ms", annotation, name="vpo-ms")


def _listed(root: Path, stem: str, annotation: Annotation, *, name: str) -> ClipSet:
    if annotation not in get_args(Annotation):
        raise ValueError(f"annotation must be one of {get_args(Annotation)}, got {annotation!r}")
    table = root / f"{stem}_{'bbox' if annotation == 'boxes' else 'seg'}.json"
    found: dict[str, Item | None] = {}
    for number, entry in enumerate(read_json(table, [object], remedy=AGAIN), start=1):
        key, item = _item(
            root, entry, masks=annotation == "masks", where=f"{table}, entry {number}"
        )
        if key in found:
            raise ValueError(f"{table}, entry {number}: {key} is in two entries; delete one")
        found[key] = item
    first = next((key for key, item in found.items() if item is None), None)
    looked = f"looked for names such as audio_wav/{first}.wav and visual_frames/{first}.jpg"
    remarks = () if first is None or any(found.values()) else (looked,)
    return listed_set(f"{name} {annotation}", found, remarks=remarks)


def _item(root: Path, entry: Any, *, masks: bool, where: str) -> tuple[str, Item | None]:
    """Return the name of the image of an entry, and the pair if its files are on disk."""
    fields: Mapping[str, Any] = entry if isinstance(entry, dict) else {}
    image, audio = (_path(root, fields.get(name), where=where) for name in ("image", "audio"))
    truth = fields.get("gt_box")
    mask = _path(root, truth, where=where) if masks else None
    boxes = None if masks else (_box(truth, where=where),)
    there = all(path.is_file() for path in (image, audio, mask) if path is not None)
    still = StillImage(path=str(image), mask=None if mask is None else str(mask))
    item = Item(id=image.stem, path=str(audio), images=(still,), boxes=boxes)
    return image.stem, item if there else None


def _path(root: Path, text: Any, *, where: str) -> Path:
    """Return the path below ``root`` of the last folder and the name of a published path."""
    parts = PurePosixPath(text).parts[-2:] if isinstance(text, str) else ()
    if len(parts) != 2:
        raise ValueError(f"{where}: expected FOLDER/NAME in image, audio or gt_box, got {text!r}")
    folder, name = (plain_name(part, where=where) for part in parts)
    return root / folder / name


def _box(box: Any, *, where: str) -> Box:
    if isinstance(box, list) and all(isinstance(v, int | float) for v in box):
        box = [v / _SIDE for v in box]
    return checked_box(box, where=f"{where}, gt_box")
