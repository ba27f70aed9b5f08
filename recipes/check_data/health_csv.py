"""`HealthList`: health.csv, with one row per checked file, and its summary."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from avblocks.csvlog import CsvLog, read_csv
from avblocks.data.health import ClipHealth

Row = dict[str, str]
COLUMNS = tuple(part.name for part in fields(ClipHealth))
_REASONS = 20


def row_of(values: Mapping[str, Any]) -> Row:
    """Format values as cells: empty for `None`, yes or no, at most four decimals."""
    return {name: _cell(value) for name, value in values.items()}


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4f}".rstrip("0").rstrip(".")
    return "" if value is None else str(value)


class HealthList:
    """The rows of health.csv by path.

    Appended rows survive a kill. Rows of an earlier run are kept, except an incomplete last one.

    Raises:
        ValueError: If the file is damaged or has other columns.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        columns, rows = read_csv(path)
        if columns and tuple(columns) != COLUMNS:
            raise ValueError(
                f"{path}: its columns are {','.join(columns)}, expected {','.join(COLUMNS)}; "
                "delete it or name another --run.dir"
            )
        wrong = [row for row in rows if not re.fullmatch(r"[\d.e+-]*", row["audio_seconds"])]
        if wrong:
            raise ValueError(
                f"{path}: {wrong[0]['audio_seconds']!r} is no number of seconds; delete the file"
            )
        self.rows: dict[str, Row] = {row["path"]: row for row in rows}
        self.unusable = sum(bool(row["reason"]) for row in self.rows.values())

    def __enter__(self) -> "HealthList":
        self._log = CsvLog(self.path, COLUMNS)
        return self

    def __exit__(self, *_: object) -> None:
        self._log.close()

    def append(self, row: Row) -> None:
        """Append a row, with empty cells for missing columns."""
        row = dict.fromkeys(COLUMNS, "") | row
        self._log.append(row)
        self.rows[row["path"]] = row
        self.unusable += bool(row["reason"])


def summary(rows: Sequence[Row], *, seconds: float) -> str:
    """Return a table of the numbers of clips with problems, such as audio below `seconds`."""
    good = [row for row in rows if not row["reason"]]
    same = Counter(row["sha256"] for row in good)
    table = [("usable", len(good)), ("unusable", len(rows) - len(good))]
    # One line for all reasons that differ only in their numbers.
    kinds = Counter(
        re.sub(r"(?<!\w)[\d.,]*\d", "N", row["reason"]) for row in rows if row["reason"]
    )
    table += [(f"  {reason}", count) for reason, count in kinds.most_common(_REASONS)]
    if len(kinds) > _REASONS:
        table.append(("  other reasons", sum(sorted(kinds.values())[:-_REASONS])))
    short = sum(float(row["audio_seconds"] or seconds) < seconds for row in good)
    table += [(name, sum(row[name] == "yes" for row in good)) for name in ("silent", "still")]
    table += [
        ("exact duplicates of another", len(good) - len(same)),
        (f"audio shorter than {seconds:g} s", short),
    ]
    width = max(len(name) for name, _ in table)
    return "\n".join(f"{name:{width}}  {count:>8,}" for name, count in table)
