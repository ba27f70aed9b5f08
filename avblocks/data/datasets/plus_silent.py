"""Readers of Extended VGG-SS and Extended Flickr: the test sets with images without a source."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from avblocks.data.datasets.annotations import read_table
from avblocks.data.datasets.clipset import ClipSet, Item
from avblocks.data.datasets.flickr import flickr_soundnet
from avblocks.data.datasets.segments import Segment
from avblocks.data.datasets.stills import still_items
from avblocks.data.datasets.vggsound import segments, vggsound_clips
from avblocks.data.datasets.vggss import vggss

_SILENT = "non-sounding"


def vggss_plus_silent(root: str | Path) -> ClipSet:
    """List Extended VGG-SS: the clips of VGG-SS, and pairs without a visible source.

    ``root`` contains the files of `vggss` and ``vggss_test_plus_silent.csv`` with the columns
    ``video``, ``audio`` and ``label``, each a clip ``ID_ssssss`` of VGGSound. Lines with the label
    ``non-sounding`` are pairs without a visible source; other lines are clips of VGG-SS, which
    are read from its own file. A pair of two clips needs ``audio/ID_ssssss.wav`` and
    ``frames/ID_ssssss.jpg``; a clip paired with itself may also be a video.

    Returns:
        The clips of VGG-SS, then the pairs ``VIDEO+AUDIO`` in the order of the file, with no box.

    Raises:
        ValueError: If a file or the clips are missing, or a line is wrong.

    Source: Mo and Morgado, "A closer look at weakly-supervised audio-visual source localization"
    (NeurIPS 2022); lists in github.com/stoneMo/SLAVC and github.com/kaistmm/SSLalignment.
    """
    root = Path(root)
    table = root / "vggss_test_plus_silent.csv"
    pairs = _pairs(table)
    known = segments(key for pair in pairs for key in pair)
    for pair, line in pairs.items():
        _require_clips(pair, known, where=f"{table}, line {line}")
    return _extended(vggss(root), pairs, vggsound_clips(root, known).items)


def flickr_plus_silent(root: str | Path) -> ClipSet:
    """List Extended Flickr-SoundNet: its test set, and pairs without a visible source.

    ``root`` contains the files of `flickr_soundnet` and ``flickr_test_plus_silent.csv`` with the
    columns ``video``, ``audio`` and ``label``: in a line with the label ``non-sounding``, an image
    and the audio of another image. Other lines are clips of the test set.

    Returns:
        The clips of the test set, then the pairs ``VIDEO+AUDIO`` in the order of the file, with no
        box.

    Raises:
        ValueError: If a file or a folder is missing, or a line is wrong.

    Source: Mo and Morgado, "A closer look at weakly-supervised audio-visual source localization"
    (NeurIPS 2022); lists in github.com/stoneMo/SLAVC and github.com/kaistmm/SSLalignment.
    """
    root = Path(root)
    pairs = _pairs(root / "flickr_test_plus_silent.csv")
    items = {key: item for key, item in still_items(root).items() if item is not None}
    return _extended(flickr_soundnet(root), pairs, items)


def _pairs(table: Path) -> dict[tuple[str, str], int]:
    """Read the pairs without a visible source, with their line numbers."""
    pairs: dict[tuple[str, str], int] = {}
    for line, row in read_table(table, columns=("video", "audio", "label")):
        pair = row["video"], row["audio"]
        if not all((*pair, row["label"])):
            raise ValueError(f"{table}, line {line}: an empty field in {row}; correct it")
        if row["label"] != _SILENT:
            continue
        if pairs.setdefault(pair, line) != line:
            raise ValueError(f"{table}, line {line}: in line {pairs[pair]} too; delete one")
    if not pairs:
        raise ValueError(f"{table}: no line with the label {_SILENT!r}; get the file again")
    return pairs


def _require_clips(pair: tuple[str, str], known: Mapping[str, Segment], *, where: str) -> None:
    for key in pair:
        if key not in known:
            raise ValueError(f"{where}: {key!r} is not ID_ssssss; correct it")


def _extended(
    clips: ClipSet, pairs: Mapping[tuple[str, str], int], items: Mapping[str, Item]
) -> ClipSet:
    """Append the pairs that are on disk; videos of two clips cannot be paired, and are missing."""
    found = {f"{v}+{a}": _silent(items.get(v), items.get(a)) for v, a in pairs}
    videos = sum(
        not (items[v].images and items[a].images)
        for v, a in pairs
        if v != a and v in items and a in items
    )
    why = f"{videos} pairs of two clips need wav and jpg files instead of videos"
    return replace(
        clips,
        name=f"{clips.name}, plus silent",
        items=(*clips.items, *(item for item in found.values() if item)),
        missing=(*clips.missing, *(key for key, item in found.items() if not item)),
        remarks=(*clips.remarks, why) if videos else clips.remarks,
    )


def _silent(image: Item | None, audio: Item | None) -> Item | None:
    """Pair the image of one clip with the audio of another, without a visible source."""
    if image is None or audio is None:
        return None
    pair = f"{image.id}+{audio.id}"
    if image.id == audio.id:
        return replace(image, id=pair, boxes=())
    if not (image.images and audio.images):
        return None
    return Item(id=pair, path=audio.path, images=image.images, boxes=())
