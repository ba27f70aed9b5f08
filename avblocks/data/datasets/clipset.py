"""What a data set is here: a list of files that exist, and a count of those that do not."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

_NAMED = 5

Box = tuple[float, float, float, float]
"""Left, top, right, bottom, in shares of the picture's sides."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture file beside a sound file.

    Attributes:
        path: A jpg or png file.
        time: When it is shown, seconds from the beginning of the sound, if that is known.
        mask: A picture file of the same size that marks what sounds.
        binary: Whether the mask has one class, any color but black, instead of class numbers.
        part: If it is one of several that were extracted evenly from a video: where in the first
            ten seconds of the audio, or all of it if shorter, from 0 to 1. `read_clip` reads such a
            clip as it reads the video.
    """

    path: str
    time: float | None = None
    mask: str | None = None
    binary: bool = True
    part: float | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """One clip of a data set; there may be millions, so it holds names and no content.

    Attributes:
        id: Its name in the annotation.
        path: The video file, or the sound file if there are pictures.
        labels: Numbers of its classes.
        pictures: Pictures beside a sound file.
        boxes: What sounds, by all annotators; empty if nothing visible does, ``None`` without
            annotation.
    """

    id: str
    path: str
    labels: tuple[int, ...] = ()
    pictures: tuple[Picture, ...] = ()
    boxes: tuple[Box, ...] | None = None


@dataclass(frozen=True)
class ClipSet:
    """The clips of one split that are on disk.

    Attributes:
        name: Of the data set and split.
        items: The clips.
        classes: Class names; labels index them.
        missing: Ids that are in the annotation and not on disk.
        remarks: Further notes for the report.

    >>> clips = ClipSet(name="demo", items=(Item(id="a", path="a.mp4"),), missing=("b",))
    >>> print(clips.report())
    demo: 2 clips listed, 1 on disk, 1 missing (b)
    """

    name: str
    items: tuple[Item, ...]
    classes: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.items)

    def report(self) -> str:
        """Say in one line how many clips are listed, on disk and missing."""
        line = count_line(self.name, "clips", found=len(self.items), missing=self.missing)
        return "; ".join((line, *self.remarks))

    def facts(self) -> dict[str, int | str]:
        """Give the counts, and a checksum of the ids on disk, in their order."""
        ids = "\n".join(item.id for item in self.items)
        return {
            "listed": len(self.items) + len(self.missing),
            "on_disk": len(self.items),
            "missing": len(self.missing),
            "ids_sha256": hashlib.sha256(ids.encode(errors="surrogateescape")).hexdigest(),
        }

    def per_frame(self) -> "ClipSet":
        """Give one clip for each picture with a mask, the n-th picture of ID being called ID_n.

        How many pictures the missing clips have is not known: a remark counts these clips.
        """
        items = tuple(
            replace(item, id=f"{item.id}_{number}", pictures=(picture,))
            for item in self.items
            for number, picture in enumerate(item.pictures, start=1)
            if picture.mask
        )
        remarks = self.remarks
        if self.missing:
            remarks = (*remarks, f"without the frames of {len(self.missing)} missing clips")
        name = f"{self.name}, by frame"
        return replace(self, name=name, items=items, missing=(), remarks=remarks)


def listed_set(
    name: str,
    items: Mapping[str, Item | None],
    *,
    classes: tuple[str, ...] = (),
    remarks: tuple[str, ...] = (),
) -> ClipSet:
    """Build the set of the clips of a list by id, in its order; those that are ``None`` miss."""
    return ClipSet(
        name=name,
        items=tuple(item for item in items.values() if item is not None),
        classes=classes,
        missing=tuple(key for key, item in items.items() if item is None),
        remarks=remarks,
    )


def labeled_set(
    name: str,
    labels: Mapping[str, tuple[int, ...]],
    items: Mapping[str, Item],
    *,
    classes: tuple[str, ...],
    remarks: tuple[str, ...] = (),
) -> ClipSet:
    """Build the set of clips with labels by id, in their order; those without an item miss."""
    labeled = {
        key: replace(items[key], labels=numbers) if key in items else None
        for key, numbers in labels.items()
    }
    return listed_set(name, labeled, classes=classes, remarks=remarks)


def count_line(name: str, things: str, *, found: int, missing: tuple[str, ...]) -> str:
    """Say in one line how many things are listed, on disk and missing."""
    line = f"{name}: {found + len(missing)} {things} listed, {found} on disk"
    if not missing:
        return line
    more = ", ..." if len(missing) > _NAMED else ""
    return f"{line}, {len(missing)} missing ({', '.join(missing[:_NAMED])}{more})"
