"""Train-test split for data sets without a published split."""

import hashlib
from dataclasses import replace

from avblocks.data.datasets.clipset import ClipSet, Item


def hold_out(clips: ClipSet, *, share: float = 0.2) -> tuple[ClipSet, ClipSet]:
    """Split a labeled data set into training and test clips, stratified by class.

    Within a class, clips are ordered by the hash of their id, and the first ``share`` of them are
    the test clips, at least one per class.

    Raises:
        ValueError: If ``share`` is not inside (0, 1), a clip does not have exactly one class, or a
            class has fewer than two clips.

    >>> items = tuple(Item(id=f"{n}.mp4", path=f"{n}.mp4", labels=(n % 2,)) for n in range(20))
    >>> train, test = hold_out(ClipSet(name="demo", items=items, classes=("a", "b")))
    >>> len(train), len(test), [item.labels for item in test.items]
    (16, 4, [(0,), (0,), (1,), (1,)])
    """
    if not 0 < share < 1:
        raise ValueError(f"share must be inside (0, 1), got {share}")
    members: dict[int, list[Item]] = {number: [] for number in range(len(clips.classes))}
    for item in clips.items:
        if len(item.labels) != 1:
            raise ValueError(f"{item.path}: has {len(item.labels)} classes, expected one")
        members[item.labels[0]].append(item)
    train, test = [], []
    for number, items in members.items():
        if len(items) < 2:
            raise ValueError(
                f"class {clips.classes[number]!r} has {len(items)} clips, too few to test on one: "
                "add clips or remove the class"
            )
        items = sorted(items, key=_hash)
        held = min(max(round(share * len(items)), 1), len(items) - 1)
        test += items[:held]
        train += items[held:]
    return (
        replace(clips, name=f"{clips.name} train", items=tuple(train)),
        replace(clips, name=f"{clips.name} test", items=tuple(test)),
    )


def _hash(item: Item) -> bytes:
    return hashlib.sha256(item.id.encode(errors="surrogateescape")).digest()
