"""Annotation files: tables with a header, JSON and XML, and the boxes in them."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from avblocks.data.datasets.clipset import Box
from avblocks.data.datasets.disk import read_rows


def read_table(path: Path, *, columns: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield line numbers and fields by column of a csv file with a header, see ``read_rows``.

    Args:
        path: The file.
        columns: Columns that it must have, among others and in any order.

    Raises:
        ValueError: If the file is missing or not text, or a column or a field is missing.
    """
    header: list[str] = []
    for line, row in read_rows(path, columns=None):
        if header:
            yield line, dict(zip(header, row, strict=True))
            continue
        header = row
        absent = [name for name in columns if name not in header]
        if absent:
            raise ValueError(
                f"{path}, line {line}: no column {absent[0]!r}; the first line must name the "
                f"columns {', '.join(columns)}, got {row}"
            )


def read_json(path: Path) -> Any:
    """Return the content of a JSON file, with or without byte order mark.

    Raises:
        ValueError: If the file is missing or broken.
    """
    if not path.is_file():
        raise ValueError(f"{path}: no such file; the data set's annotation belongs there")
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as error:
        raise ValueError(
            f"{path}, line {error.lineno}: broken JSON ({error.msg}); get the file again"
        ) from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: no JSON in UTF-8 ({error}); get the file again") from error


def read_xml(path: Path) -> ElementTree.Element:
    """Return the root element of an XML file.

    Raises:
        ValueError: If the file is broken.
    """
    try:
        return ElementTree.fromstring(path.read_bytes())
    except ElementTree.ParseError as error:
        raise ValueError(
            f"{path}, line {error.position[0]}: broken XML ({error}); get the file again"
        ) from error


def checked_box(values: Any, *, where: str, slack: float = 0.0) -> Box:
    """Return a box, possibly without any area, after a check that it lies in the image.

    Args:
        values: Left, top, right, bottom, in shares of the sides, if the file is right.
        where: File and place in it, for the error.
        slack: How far the box may reach over the edge; what does is cut off.

    Raises:
        ValueError: If it does not.
    """
    numbers = isinstance(values, list) and all(isinstance(v, int | float) for v in values)
    if not numbers or len(values) != 4:
        raise ValueError(f"{where}: expected left, top, right and bottom of a box, got {values}")
    if not all(math.isfinite(v) and -slack <= v <= 1 + slack for v in values):
        raise ValueError(f"{where}: the box {values} reaches outside the picture; correct it")
    left, top, right, bottom = (min(max(float(v), 0.0), 1.0) for v in values)
    if left > right or top > bottom:
        raise ValueError(
            f"{where}: left, top, right, bottom are not in order: {values}; correct it"
        )
    return left, top, right, bottom


def has_area(box: Box) -> bool:
    """Whether a box encloses anything."""
    return box[0] < box[2] and box[1] < box[3]


def class_numbers(
    names: Sequence[str], number: Mapping[str, int], *, where: str, kind: str, remedy: str
) -> tuple[int, ...]:
    """Look up the numbers of classes.

    Raises:
        ValueError: If a name is unknown.
    """
    unknown = [name for name in names if name not in number]
    if unknown:
        raise ValueError(f"{where}: unknown {kind} {unknown}; {remedy}")
    return tuple(number[name] for name in names)
