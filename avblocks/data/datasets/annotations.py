"""Annotation files: tables with a header, JSON and XML, and the boxes in them."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.parsers import expat

from avblocks.data.datasets.clipset import Box
from avblocks.data.datasets.disk import read_rows, separators

_FAR = 1e6  # times the side of the image; larger numbers cannot be coordinates of a box
AGAIN = "get the file again"


def read_table(path: Path, *, columns: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield line numbers and fields by column of a csv file with a header, see ``read_rows``.

    Args:
        path: The file.
        columns: Required columns, in any order and case; others are allowed. Names are returned in
            lower case.

    Raises:
        ValueError: If the file is missing or not text, a column or a field is missing, or a column
            is there twice.
    """
    header: list[str] = []
    for line, row in read_rows(path, columns=None):
        if header:
            yield line, dict(zip(header, row, strict=True))
            continue
        header = [name.lower() for name in row]
        twice = [name for name in header if name and header.count(name) > 1]
        if twice:
            raise ValueError(f"{path}, line {line}: two columns {twice[0]!r}; delete one")
        absent = [name for name in columns if name not in header]
        if absent:
            raise ValueError(
                f"{path}, line {line}: no column {absent[0]!r}; the first line must name the "
                f"columns {', '.join(columns)}, got {row}{separators(row)}"
            )


def read_xml(path: Path) -> ElementTree.Element:
    """Return the root element of an XML file.

    Raises:
        ValueError: If the file is broken, or declares an entity.
    """
    builder, parser = ElementTree.TreeBuilder(), expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = builder.start, builder.end
    parser.CharacterDataHandler = builder.data
    parser.EntityDeclHandler = _refuse_entity
    try:
        parser.Parse(path.read_bytes(), True)
        return builder.close()
    except expat.ExpatError as error:
        raise ValueError(f"{path}, line {error.lineno}: broken XML ({error}); {AGAIN}") from error
    except (ValueError, LookupError) as error:  # of an encoding, or our own
        raise ValueError(f"{path}: XML that is not read ({error}); {AGAIN}") from error


def _refuse_entity(name: str, *_: object) -> None:
    raise ValueError(f"it declares the entity {name!r}")


def checked_box(values: Any, *, where: str, cut: bool = False) -> Box:
    """Validate a box, whose area may be zero.

    Args:
        values: Left, top, right and bottom, relative to the sides of the image.
        where: File and position in it, for the error.
        cut: Whether to clip a box that extends beyond the image instead of raising.

    Raises:
        ValueError: If the values are not a box within the image.
    """
    numbers = isinstance(values, list) and all(isinstance(v, int | float) for v in values)
    if not numbers or len(values) != 4:
        raise ValueError(f"{where}: expected left, top, right and bottom of a box, got {values}")
    slack = _FAR if cut else 0.0
    if not all(-slack <= v <= 1 + slack for v in values):  # NaN is not, nor is 10 ** 400
        text = f"the box {values!s:.80}"
        raise ValueError(f"{where}: {text} extends beyond the image; correct it")
    left, top, right, bottom = (min(max(float(v), 0.0), 1.0) for v in values)
    if left > right or top > bottom:
        raise ValueError(
            f"{where}: left, top, right, bottom are not in order: {values}; correct it"
        )
    return left, top, right, bottom


def has_area(box: Box) -> bool:
    """Return whether the area of a box is above zero."""
    return box[0] < box[2] and box[1] < box[3]


def class_numbers(
    names: Sequence[str], number: Mapping[str, int], *, where: str, kind: str, remedy: str
) -> tuple[int, ...]:
    """Return the numbers of classes by name.

    Raises:
        ValueError: If a name is unknown.
    """
    unknown = [name for name in names if name not in number]
    if unknown:
        raise ValueError(f"{where}: unknown {kind} {unknown}; {remedy}")
    return tuple(number[name] for name in names)
