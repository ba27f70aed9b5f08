"""What a data set is here: a list of files that exist, and a count of those that do not."""

from dataclasses import dataclass

_NAMED = 5


@dataclass(frozen=True, slots=True)
class Item:
    """One clip of a data set.

    Attributes:
        id: Its name in the annotation.
        path: The media file.
        labels: Numbers of its classes.
    """

    id: str
    path: str
    labels: tuple[int, ...] = ()


@dataclass(frozen=True)
class ClipSet:
    """The clips of one split that are on disk.

    Attributes:
        name: Of the data set and split.
        items: The clips.
        classes: Class names; labels point into them.
        missing: Ids that the annotation lists and the disk has not.

    >>> clips = ClipSet(name="demo", items=(Item(id="a", path="a.mp4"),), missing=("b",))
    >>> print(clips.report())
    demo: 2 clips listed, 1 on disk, 1 missing (b)
    """

    name: str
    items: tuple[Item, ...]
    classes: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.items)

    def report(self) -> str:
        """Say in one line how many clips are listed, on disk and missing."""
        listed = len(self.items) + len(self.missing)
        line = f"{self.name}: {listed} clips listed, {len(self.items)} on disk"
        if not self.missing:
            return line
        more = ", ..." if len(self.missing) > _NAMED else ""
        return f"{line}, {len(self.missing)} missing ({', '.join(self.missing[:_NAMED])}{more})"
