"""`Side`: the clips of a data set or a published list, that are compared with others."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from avblocks.data.datasets import ClipSet, Item
from avblocks.data.leaks import Span, parse_span, read_spans
from recipes.common.sets import READERS

LISTS = "lists"
"""Name of the preset of published lists, without the files of a data set."""
FORMS = "a FILE, FILE:SPLIT, NAME:SPLIT, NAME=DIR or NAME:SPLIT=DIR, such as vggsound:test"
_SEGMENTS = {
    "audioset balanced": "balanced_train_segments.csv",
    "audioset unbalanced": "unbalanced_train_segments.csv",
    "audioset eval": "eval_segments.csv",
}
"""Tables with the seconds of clips whose ids lack them."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Side:
    """Clips to compare.

    Attributes:
        name: Name for the table.
        spans: The listed clips by id.
        items: Those that are on disk.
    """

    name: str
    spans: Mapping[str, Span]
    items: tuple[Item, ...] = field(default=(), repr=False)

    def same_as(self, other: "Side") -> bool:
        """Return whether the clips are those of another side, by their ids and files."""
        paths = ({item.path for item in side.items} for side in (self, other))
        return self.spans.keys() == other.spans.keys() and next(paths) == next(paths)


def list_side(path: Path, *, split: str | None = None) -> Side:
    """Read a published list."""
    name = path.stem if split is None else f"{path.stem} {split}"
    return Side(name=name, spans=read_spans(path, split=split))


def set_side(clips: Iterable[ClipSet], *, root: Path) -> Side:
    """List the clips of splits of a data set."""
    sets, spans = tuple(clips), dict[str, Span]()
    for one in sets:
        table = read_spans(root / _SEGMENTS[one.name]) if one.name in _SEGMENTS else {}
        ids = [*(item.id for item in one.items), *one.missing]
        spans |= {key: table.get(key, parse_span(key)) for key in ids}
    items = tuple(item for one in sets for item in one.items)
    return Side(name=" + ".join(one.name for one in sets), spans=spans, items=items)


def among(side: Side, only: Path) -> Side:
    """Select the clips in a list; a ValueError if there are none."""
    ids = read_spans(only)
    spans = {key: side.spans[key] for key in ids if key in side.spans}
    if not spans:
        raise ValueError(f"{only}: none of its ids is of a clip of {side.name}")
    items = tuple(item for item in side.items if item.id in ids)
    return Side(name=f"{side.name}, {only.stem}", spans=spans, items=items)


def other_side(text: str, *, name: str, root: Path | None, test_list: Path | None = None) -> Side:
    """Read what ``--against`` names, see `FORMS`.

    Args:
        text: The value of the option.
        name: The data set that is checked, whose folder another of its splits may share.
        root: Its folder.
        test_list: Its list of the test clips, if it has one.

    Raises:
        ValueError: If there is no such file, data set or split.
    """
    if Path(text).is_file():
        return list_side(Path(text))
    what, _, folder = text.partition("=")
    if what.rpartition(":")[0] and Path(what.rpartition(":")[0]).is_file():
        path, _, split = what.rpartition(":")
        return list_side(Path(path), split=split)
    kind, _, split = what.partition(":")
    if kind not in READERS:
        raise ValueError(f"--against {text}: no such file or data set; give {FORMS}")
    splits = READERS[kind][1]
    if split and split not in splits:
        raise ValueError(f"--against {text}: {kind} has no such split; it has {', '.join(splits)}")
    place = Path(folder) if folder else root if kind == name else None
    if place is None:
        raise ValueError(f"--against {text}: give its folder, as {what}=DIR")
    here = kind == name and place == root
    tested = {"test_list": test_list} if test_list and here else {}
    clips = [reader(place, **tested) for key, reader in splits.items() if split in ("", key)]
    return replace(set_side(clips, root=place), name=text)
