"""Reader of VGGSounder: several labels for each test clip of VGGSound, with their modality."""

from pathlib import Path
from typing import Literal

from avblocks.data.datasets.annotations import read_table
from avblocks.data.datasets.clipset import ClipSet, labeled_set
from avblocks.data.datasets.vggsound import segments, vggsound_clips
from avblocks.shapes import require_choice

Modality = Literal["all", "audible", "visible", "both", "only_audible", "only_visible"]
_TAGS: dict[Modality, tuple[str, ...]] = {
    "all": ("A", "V", "AV"),
    "audible": ("A", "AV"),
    "visible": ("V", "AV"),
    "both": ("AV",),
    "only_audible": ("A",),
    "only_visible": ("V",),
}
_COLUMNS = ("video_id", "label", "modality", "background_music")


def vggsounder(
    root: str | Path, *, modality: Modality = "all", background_music: bool = True
) -> ClipSet:
    """List VGGSounder, the test clips of VGGSound with all their classes.

    ``root`` contains the clips of `vggsound` and ``vggsounder.csv`` with the columns ``video_id``
    (``ID_ssssss``), ``label``, ``modality`` (``A``, ``V`` or ``AV``) and ``background_music``: the
    file of that name of the package ``vggsounder``, or its ``vggsounder+background-music.csv``,
    renamed.

    Args:
        root: The folder.
        modality: Labels to read, by whether the class is audible or visible. Clips without such a
            label are excluded. The names in the package are ``all``, ``a``, ``v``, ``av``,
            ``a only`` and ``v only``.
        background_music: Whether to list the clips that are marked to have background music.

    Returns:
        The clips in the order of the file; all classes of the file in alphabetical order, which are
        those of VGGSound.

    Raises:
        ValueError: If the csv or the clips are missing, or a line is wrong.

    Source: Zverev et al., "VGGSounder: audio-visual evaluations for foundation models" (ICCV 2025).
    """
    require_choice(*_TAGS, modality=modality)
    root = Path(root)
    names, wanted, others = _read(
        root / "vggsounder.csv", tags=_TAGS[modality], music=background_music
    )
    classes = tuple(sorted(names))
    number = {name: index for index, name in enumerate(classes)}
    labels = {key: tuple(number[name] for name in some) for key, some in wanted.items()}
    found = vggsound_clips(root, (*wanted, *others))
    remarks = found.remarks(segments(wanted))
    name = f"vggsounder {modality.replace('_', ' ')}"
    return labeled_set(name, labels, found.items, classes=classes, remarks=remarks)


def _read(
    table: Path, *, tags: tuple[str, ...], music: bool
) -> tuple[set[str], dict[str, list[str]], set[str]]:
    """Return all classes, the labels of the wanted clips, and the other clips."""
    names, wanted, others = set[str](), dict[str, list[str]](), set[str]()
    for line, row in read_table(table, columns=_COLUMNS):
        where, key = f"{table}, line {line}", row["video_id"]
        if not segments([key]):
            raise ValueError(f"{where}: {key!r} is not ID_ssssss; correct it")
        if row["modality"] not in _TAGS["all"]:
            raise ValueError(f"{where}: expected A, V or AV, got {row['modality']!r}; correct it")
        if row["background_music"] not in ("True", "False"):
            got = row["background_music"]
            raise ValueError(f"{where}: expected True or False in background_music, got {got!r}")
        names.add(row["label"])
        if row["modality"] not in tags or (row["background_music"] == "True" and not music):
            others.add(key)
            continue
        if row["label"] in wanted.setdefault(key, []):
            raise ValueError(f"{where}: {key} has {row['label']!r} in two lines; delete one")
        wanted[key].append(row["label"])
    return names, wanted, others - wanted.keys()
