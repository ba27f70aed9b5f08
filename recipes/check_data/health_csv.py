"""`HealthList`: health.csv, a row for each clip that was looked at, and the sum of it."""

import csv
import io
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import IO, Any

from avblocks.data.health import ClipHealth
from avblocks.files import replacing

Row = dict[str, str]
COLUMNS = tuple(part.name for part in fields(ClipHealth))
_REASONS = 20
# Names of files are bytes: those that are no UTF-8 are written as they are.
_AS_IT_IS: dict[str, Any] = {"encoding": "utf-8", "errors": "surrogateescape", "newline": ""}


def row_of(values: Mapping[str, Any]) -> Row:
    """Turn values into cells: empty for `None`, yes or no, at most four digits after the point."""
    return {name: _cell(value) for name, value in values.items()}


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4f}".rstrip("0").rstrip(".")
    return "" if value is None else str(value)


class HealthList:
    """Rows by path, on disk as soon as they are there.

    Rows of a run before are kept, but for a last one that a kill left half-written.

    Args:
        path: The csv file.

    Raises:
        ValueError: If the file has other columns.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: dict[str, Row] = {}
        self.unusable = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        for row in _read(path):
            self._note(row)
        with replacing(path) as half, half.open("w", **_AS_IT_IS) as file:
            csv.writer(file).writerows([COLUMNS, *(row.values() for row in self.rows.values())])

    def __enter__(self) -> "HealthList":
        self._file: IO[str] = self.path.open("a", **_AS_IT_IS)
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def append(self, row: Row) -> None:
        """Add a row, and hand it over to the system, where a kill of this process leaves it."""
        row = dict.fromkeys(COLUMNS, "") | row
        self._note(row)
        csv.writer(self._file).writerow(row.values())
        self._file.flush()

    def _note(self, row: Row) -> None:
        self.rows[row["path"]] = row
        self.unusable += bool(row["reason"])


def _read(path: Path) -> list[Row]:
    if not path.is_file():
        return []
    text = path.read_bytes().decode(encoding="utf-8", errors="surrogateescape")
    lines = list(csv.reader(io.StringIO(text[: text.rfind("\n") + 1], newline="")))
    if lines and tuple(lines[0]) != COLUMNS:
        raise ValueError(
            f"{path}: its columns are {','.join(lines[0])}, expected {','.join(COLUMNS)}; delete "
            "it or name another --run.dir"
        )
    # A name may hold a line's end, so the cut row may still be there.
    whole = (cells for cells in lines[1:] if len(cells) == len(COLUMNS))
    return [dict(zip(COLUMNS, cells, strict=True)) for cells in whole]


def summary(rows: Sequence[Row], *, seconds: float) -> str:
    """Count what is wrong with the clips, as a table.

    Args:
        rows: Of the clips.
        seconds: Length of the window that the sound should fill.

    Returns:
        A few lines.
    """
    good = [row for row in rows if not row["reason"]]
    same = Counter(row["sha256"] for row in good)
    table = [("usable", len(good)), ("unusable", len(rows) - len(good))]
    # One line for all reasons that differ in their numbers alone.
    kinds = Counter(
        re.sub(r"(?<!\w)[\d.,]*\d", "N", row["reason"]) for row in rows if row["reason"]
    )
    table += [(f"  {reason}", count) for reason, count in kinds.most_common(_REASONS)]
    if len(kinds) > _REASONS:
        table.append(("  other reasons", sum(sorted(kinds.values())[:-_REASONS])))
    table += [
        ("silent", sum(row["silent"] == "yes" for row in good)),
        ("still", sum(row["still"] == "yes" for row in good)),
        ("exact duplicates of another", len(good) - len(same)),
        (
            f"sound shorter than {seconds:g} s",
            sum(float(r["audio_seconds"] or seconds) < seconds for r in good),
        ),
    ]
    width = max(len(name) for name, _ in table)
    return "\n".join(f"{name:{width}}  {count:>8,}" for name, count in table)
