"""Stock of composed scenes: decoded ingredients and backgrounds, split into training and test."""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from jaxtyping import UInt8

from avblocks.data.clip import ClipError
from avblocks.data.datasets.disk import IMAGE_SUFFIXES, media_files
from avblocks.data.scenes.classes import Split
from avblocks.data.scenes.copies import Thing, group_copies
from avblocks.data.scenes.cutout import read_background, read_cutout
from avblocks.data.scenes.ingredients import Ingredient, IngredientList, Refusal
from avblocks.data.scenes.recording import read_recording

T = TypeVar("T")
R = TypeVar("R")
Background = UInt8[np.ndarray, "height width 3"]

_MOST_CLASSES = 254  # in masks of 8 bits, with the background
_HELD_OUT = 0.25


@dataclass(frozen=True)
class Stock:
    """Everything that scenes are composed of.

    Attributes:
        classes: Class names in alphabetical order.
        things: Ingredients by split and class; a single ingredient of a class is in both splits.
        backgrounds: Photographs by split.
        refused: Files that cannot be used.
        shared: Classes whose ingredients are in both splits.
        digest: Checksum of the content.
    """

    classes: tuple[str, ...]
    things: Mapping[Split, tuple[tuple[Thing, ...], ...]]
    backgrounds: Mapping[Split, tuple[Background, ...]]
    refused: tuple[Refusal, ...]
    shared: tuple[str, ...]
    digest: str

    def report(self) -> str:
        """Return a line with the numbers of classes, ingredients and backgrounds of each split."""
        train, test = (sum(map(len, self.things[split])) for split in ("train", "test"))
        places = " and ".join(str(len(self.backgrounds[split])) for split in ("train", "test"))
        line = (
            f"{len(self.classes)} classes; {train} ingredients for training and {test} for "
            f"testing; {places} backgrounds; {len(self.refused)} files refused"
        )
        if not self.shared:
            return f"{line}; training and test share no ingredient and no background"
        return (
            f"{line}; training and test share no background, and the ingredients of "
            f"{len(self.shared)} classes with a single one (placement, size, mirroring, pitch, "
            "start, gain and noise are drawn anew)"
        )


def load_stock(
    found: IngredientList, backgrounds: Iterable[Path], *, rate: int, min_seconds: float, side: int
) -> Stock:
    """Decode ingredients and backgrounds, and hold out a quarter of each for the test.

    Two classes with the same recording cannot be distinguished: all these ingredients except the
    first are refused. Within a class, ingredients with the same recording stay together.

    Args:
        found: The ingredients.
        backgrounds: Image files.
        rate: Samples per second.
        min_seconds: Length above which a recording is used.
        side: Shorter side of the backgrounds.

    Raises:
        ValueError: If there are fewer than two classes or two backgrounds left.
    """

    def thing(one: Ingredient) -> Thing:
        cutout = read_cutout(one.image, one.mask)
        wave = read_recording(one.audio, rate=rate, min_seconds=min_seconds)
        return Thing(one.name, one.kind, cutout, wave)

    refused = list(found.refused)
    things = _load(thing, found.ingredients, [one.name for one in found.ingredients], refused)
    groups = group_copies(things, refused)
    paths = list(backgrounds)
    places = _load(lambda path: read_background(path, side=side), paths, map(str, paths), refused)
    classes = tuple(sorted({group[0].kind for group in groups}))
    _require(len(classes), "classes of ingredients", refused)
    _check_names(classes)
    _require(len(places), "backgrounds", refused)
    parts = [_split([g for g in groups if g[0].kind == name]) for name in classes]
    scenery = _split([(place,) for place in places])
    return Stock(
        classes=classes,
        things={"train": tuple(a for a, _ in parts), "test": tuple(b for _, b in parts)},
        backgrounds={"train": scenery[0], "test": scenery[1]},
        refused=tuple(refused),
        shared=tuple(n for n, (a, b) in zip(classes, parts, strict=True) if a is b),
        digest=_digest([x for g in groups for x in g], places),
    )


def background_files(folders: Iterable[str | Path]) -> list[Path]:
    """List the jpg and png files in folders, at any depth.

    Raises:
        ValueError: If a folder is missing or contains none.
    """
    kind = "image"
    return [p for f in folders for p in media_files(Path(f), suffixes=IMAGE_SUFFIXES, kind=kind)]


def _load(
    read: Callable[[T], R], files: Sequence[T], names: Iterable[str], refused: list[Refusal]
) -> list[R]:
    """Read files in threads; those that cannot be used are added to ``refused``."""

    def attempt(file: T) -> R | ClipError:
        try:
            return read(file)
        except ClipError as error:
            return error

    with ThreadPoolExecutor() as pool:
        results = list(pool.map(attempt, files))
    kept = []
    for name, result in zip(names, results, strict=True):
        if isinstance(result, ClipError):
            refused.append(Refusal(name, f"{Path(result.path).name}: {result.reason}"))
        else:
            kept.append(result)
    return kept


def _split(groups: Sequence[tuple[T, ...]]) -> tuple[tuple[T, ...], tuple[T, ...]]:
    """Hold out a quarter of the groups, at least one; a single group is on both sides."""
    if len(groups) == 1:
        return groups[0], groups[0]
    order = np.random.default_rng(0).permutation(len(groups))
    held = max(round(_HELD_OUT * len(groups)), 1)
    test, train = sorted(order[:held]), sorted(order[held:])
    return tuple(x for n in train for x in groups[n]), tuple(x for n in test for x in groups[n])


def _require(count: int, what: str, refused: Sequence[Refusal]) -> None:
    """Raise a ValueError that names the refused files if fewer than two are left."""
    if count >= 2:
        return
    why = "".join(f"; {one.name}: {one.reason}" for one in refused[:20])
    raise ValueError(f"{count} {what} left, and scenes need 2; {len(refused)} files refused{why}")


def _check_names(classes: tuple[str, ...]) -> None:
    """Raise a ValueError for classes that the layouts cannot distinguish."""
    if len(classes) > _MOST_CLASSES:
        raise ValueError(
            f"{len(classes)} classes: masks number {_MOST_CLASSES} at most; select some"
        )
    plain: dict[str, str] = {"background": "background"}
    for name in classes:
        other = plain.setdefault(re.sub(r"[ _-]", "-", name), name)
        if other != name or name == "background":
            raise ValueError(f"the class {name!r} is named like {other!r}; rename one of them")


def _digest(things: Iterable[Thing], places: Iterable[Background]) -> str:
    total = hashlib.sha256()
    for thing in things:
        total.update(f"{thing.name}\0{thing.kind}\0".encode(errors="surrogateescape"))
        total.update(thing.cutout.numpy().tobytes())
        total.update(thing.wave.tobytes())
    for place in places:
        total.update(place.tobytes())
    return total.hexdigest()[:16]
