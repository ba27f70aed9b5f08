"""Ingredients of composed scenes: pairs of an image file and an audio file of one name."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from avblocks.data.datasets.annotations import read_table
from avblocks.data.datasets.disk import IMAGE_SUFFIXES, media_files, plain_name
from avblocks.shapes import require_choice

SOUNDS = (".wav", ".ogg", ".flac", ".mp3")
"""Suffixes of recordings."""
_MASK = "_mask"
COLUMNS = ("image", "audio", "class")


@dataclass(frozen=True, slots=True)
class Ingredient:
    """Files of an object with a recording.

    Attributes:
        name: Path of the image below the folder, without suffix.
        kind: Name of its class.
        image: A png file with transparent surroundings, or a jpg or png file with a mask.
        audio: A wav, ogg, flac or mp3 file.
        mask: An image file that is black around the object, if there is one.
    """

    name: str
    kind: str
    image: Path
    audio: Path
    mask: Path | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A file that cannot be used, the reason, and its class, if known."""

    name: str
    reason: str
    kind: str = ""


@dataclass
class IngredientList:
    """The ingredients of a folder, and the files that are not used.

    Attributes:
        ingredients: Those with an image and a recording.
        refused: The others.
    """

    ingredients: list[Ingredient] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)


def find_ingredients(
    root: str | Path, *, by: Literal["folder", "name"] = "folder", classes: Iterable[str] = ()
) -> IngredientList:
    """List the ingredients of a folder, at any depth, or of a csv file.

    In a folder, ``NAME.png`` belongs to ``NAME.wav``, ``.ogg``, ``.flac`` or ``.mp3`` beside it,
    and to ``NAME_mask.png``, if there is one. Its class is the folder directly in ``root`` that
    contains it; of a file directly in ``root``, or with ``by="name"``, its own name. A csv file has
    a header with the columns ``image``, ``audio``, ``class`` and, if needed, ``mask``; paths are
    relative to its folder.

    Args:
        root: The folder, or the csv file.
        by: Whether classes are folders or names.
        classes: The classes to use; all if empty.

    Raises:
        ValueError: If the folder or the csv file is missing or wrong, or a class is unknown.
    """
    require_choice("folder", "name", by=by)
    root, only = Path(root), set(classes)
    found = _of_table(root) if root.suffix.lower() == ".csv" else _of_folder(root, by=by)
    kinds = {one.kind for one in found.ingredients}
    if unknown := sorted(only - kinds):
        why = [f"{one.name}: {one.reason}; " for one in found.refused if one.kind == unknown[0]]
        names = f"{''.join(why)}there are {', '.join(sorted(kinds))}"
        raise ValueError(f"{root}: no ingredient of the class {unknown[0]!r}; {names}")
    if only:
        found.ingredients = [one for one in found.ingredients if one.kind in only]
        found.refused = [one for one in found.refused if one.kind in only]
    return found


def _of_folder(root: Path, *, by: str) -> IngredientList:
    found = IngredientList()
    images = media_files(root, suffixes=IMAGE_SUFFIXES, kind="image")
    images = [image for image in images if not image.stem.endswith(_MASK)]
    count = Counter(image.with_suffix("") for image in images)
    for image in images:
        name = image.relative_to(root).with_suffix("")
        kind = name.name if by == "name" or len(name.parts) == 1 else name.parts[0]
        audio = [path for path in map(image.with_suffix, SOUNDS) if path.is_file()]
        if reason := _ambiguous(audio, images=count[image.with_suffix("")]):
            found.refused.append(Refusal(str(name), reason, kind))
            continue
        mask = image.with_name(f"{image.stem}{_MASK}.png")
        found.ingredients.append(
            Ingredient(str(name), kind, image, audio[0], mask if mask.is_file() else None)
        )
    return found


def _ambiguous(audio: Sequence[Path], *, images: int) -> str:
    """Return why an ingredient is not one image with one recording; empty if it is."""
    if not audio:
        return f"no recording beside it (looked for {', '.join(SOUNDS)})"
    if len(audio) > 1:
        return f"several recordings: {', '.join(path.name for path in audio)}; leave one"
    return "several images that differ in their suffix only; leave one" if images > 1 else ""


def _of_table(table: Path) -> IngredientList:
    return IngredientList(list(_rows(table)))


def _rows(table: Path) -> Iterator[Ingredient]:
    for line, row in read_table(table, columns=COLUMNS):
        kind = plain_name(row["class"], where=f"{table}, line {line}")
        image, mask = table.parent / row["image"], row.get("mask")
        yield Ingredient(
            name=str(Path(row["image"]).with_suffix("")),
            kind=kind,
            image=image,
            audio=table.parent / row["audio"],
            mask=table.parent / mask if mask else None,
        )
