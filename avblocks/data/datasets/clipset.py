"""`ClipSet`: the clips of a data set that are on disk, and the ids of those that are missing."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from warnings import warn

_NAMED = 5

Box = tuple[float, float, float, float]
"""Left, top, right and bottom, relative to the sides of the image."""


@dataclass(frozen=True, slots=True)
class StillImage:
    """An image file that belongs to an audio file.

    Attributes:
        path: A jpg or png file.
        time: Time of the image, seconds from the beginning of the audio, if known.
        mask: An image file of the same size that marks the sounding objects.
        binary: Whether the mask is binary (every color except black is class 1, see
            ``decode_mask``) instead of class numbers.
        part: For one of several images extracted evenly from a video: its position, from 0 to 1, in
            the audio or its first ten seconds. `read_clip` reads such a clip like the video.
    """

    path: str
    time: float | None = None
    mask: str | None = None
    binary: bool = True
    part: float | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """One clip of a data set: paths and annotation, without content.

    Attributes:
        id: Id of the clip in the annotation.
        path: The video file, or the audio file if there are image files.
        labels: Class numbers.
        images: Image files of an audio file.
        boxes: Boxes of the sounding objects, by all annotators; empty if no source is visible,
            ``None`` without annotation.
    """

    id: str
    path: str
    labels: tuple[int, ...] = ()
    images: tuple[StillImage, ...] = ()
    boxes: tuple[Box, ...] | None = None

    @property
    def pictures(self) -> tuple[StillImage, ...]:
        """Deprecated name of ``images``, for one release."""
        warn("Item.pictures is now Item.images", DeprecationWarning, stacklevel=2)
        return self.images


@dataclass(frozen=True)
class ClipSet:
    """The clips of one split that are on disk.

    Attributes:
        name: Name of the data set and split.
        items: The clips.
        classes: Class names; labels index them.
        missing: Ids of the annotation that are not on disk.
        remarks: Remarks for the report.

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
        """Return a line with the numbers of clips listed, on disk and missing."""
        line = count_line(self.name, "clips", found=len(self.items), missing=self.missing)
        return "; ".join((line, *self.remarks))

    def facts(self) -> dict[str, int | str]:
        """Return the counts, and checksums of the ids on disk in their order and of the labels."""
        ids = "\n".join(item.id for item in self.items)
        labels = "\n".join(" ".join(map(str, sorted(item.labels))) for item in self.items)
        return {
            "listed": len(self.items) + len(self.missing),
            "on_disk": len(self.items),
            "missing": len(self.missing),
            "ids_sha256": hashlib.sha256(ids.encode(errors="surrogateescape")).hexdigest(),
            "labels_sha256": hashlib.sha256(labels.encode()).hexdigest(),
        }

    def per_frame(self) -> "ClipSet":
        """Split the clips into one clip ``ID_n`` for each image n that has a mask.

        The number of images of missing clips is unknown; a remark counts these clips.
        """
        items = tuple(
            replace(item, id=f"{item.id}_{number}", images=(image,))
            for item in self.items
            for number, image in enumerate(item.images, start=1)
            if image.mask
        )
        remarks = self.remarks
        if self.missing:
            remarks = (*remarks, f"without the frames of {len(self.missing)} missing clips")
        name = f"{self.name}, by frame"
        return replace(self, name=name, items=items, missing=(), remarks=remarks)


def require_labels(clips: ClipSet) -> None:
    """Raise a ``ValueError`` unless the labels of all clips index classes."""
    count = len(clips.classes)
    for item in clips.items:
        if any(not 0 <= label < count for label in item.labels):
            raise ValueError(
                f"{item.path}: labels {item.labels} must be class numbers below {count}, the "
                f"number of classes of {clips.name}"
            )


def listed_set(
    name: str,
    items: Mapping[str, Item | None],
    *,
    classes: tuple[str, ...] = (),
    remarks: tuple[str, ...] = (),
) -> ClipSet:
    """Build a clip set from items by id, in their order; ``None`` marks missing clips."""
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
    """Build a clip set from labels by id, in their order; clips without an item are missing."""
    labeled = {
        key: replace(items[key], labels=numbers) if key in items else None
        for key, numbers in labels.items()
    }
    return listed_set(name, labeled, classes=classes, remarks=remarks)


def count_line(name: str, things: str, *, found: int, missing: tuple[str, ...]) -> str:
    """Return a line with the numbers of things listed, on disk and missing."""
    line = f"{name}: {found + len(missing)} {things} listed, {found} on disk"
    if not missing:
        return line
    more = ", ..." if len(missing) > _NAMED else ""
    return f"{line}, {len(missing)} missing ({', '.join(missing[:_NAMED])}{more})"
