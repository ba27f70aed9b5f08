"""Measured values in the documentation, from the files `docs/results/*.json` of the recipes.

A role shows one value, by its file and keys, and a directive shows a table of values::

    Memory grew by :measured:`data.json rss_growth_mb` MB.

    .. measured:: data.json clips_per_second_per_core
       :head: storage, clips per second

       shards: images of 256 pixels

Lines name the rows to show, in their order; without any, all are shown by their keys. A dict of
dicts has a column for each inner key, or a row with the option ``turned``; a list is shown as its
mean and standard deviation. What no file has yet is shown as "not measured yet", or as the option
``missing`` says, which may be empty. The option ``yes-no`` names the keys of rows or columns whose
1 and 0 mean yes and no::

    .. measured:: performance.json tables cuda
       :missing: Not measured, because no GPU was available.
"""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective, SphinxRole

MISSING = "not measured yet"


def lookup(root: Path, words: str) -> Any:
    """Find a value: the name of a file in a folder, then the keys that lead to it.

    A key with blanks is in double quotes.

    Returns:
        The value; `None` if there is no such file or key.
    """
    name, *keys = shlex.split(words)
    path = root / name
    found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found


def layout(
    found: dict[str, Any], names: dict[str, str], *, head: str = "", answers: Sequence[str] = ()
) -> list[list[str]]:
    """Lay out a dict, or a dict of dicts, as the cells of a table.

    Args:
        found: The measured values.
        names: Label of each row by its key; all rows with their keys if empty.
        head: Names of the columns, separated by commas; the inner keys if empty.
        answers: Keys of the values that are shown as yes or no.

    Returns:
        The head, then the rows.
    """
    shown = names or {key: key for key in found}
    inner = [value for key in shown if isinstance(value := found.get(key), dict)]
    columns = list(dict.fromkeys(column for value in inner for column in value)) or [""]

    def cell(key: str, column: str) -> str:
        value = found.get(key)
        value = value.get(column) if isinstance(value, dict) else value
        answer = value in (0, 1) and not {key, column}.isdisjoint(answers)
        return ("no", "yes")[value] if answer else text(value)

    titles = [title.strip() for title in head.split(",")] if head else ["", *columns]
    return [
        titles,
        *([name, *(cell(key, column) for column in columns)] for key, name in shown.items()),
    ]


def turned(found: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Swap the outer and the inner keys of a dict of dicts."""
    keys = dict.fromkeys(key for values in found.values() for key in values)
    return {key: {row: values.get(key) for row, values in found.items()} for key in keys}


def text(value: Any) -> str:
    """Format a value, with commas between thousands; a list as mean and standard deviation."""
    if value is None or value == []:
        return MISSING
    if isinstance(value, list):
        digits = 2 if max(map(abs, value)) <= 1 else 1  # shares need more than percentages
        spread = f" ± {stdev(value):.{digits}f}" if len(value) > 1 else ""
        return f"{mean(value):.{digits}f}{spread}"
    return f"{value:,}" if isinstance(value, int | float) else str(value)


class Figure(SphinxRole):
    """One value within a paragraph."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Insert it."""
        self.env.note_dependency(str(_root(self.env) / self.text.split()[0]))
        return [nodes.Text(text(lookup(_root(self.env), self.text)))], []


class Table(SphinxDirective):
    """A table of values."""

    required_arguments = 1
    final_argument_whitespace = True
    has_content = True
    option_spec = {  # noqa: RUF012, as docutils has it
        "head": directives.unchanged_required,
        "missing": directives.unchanged,
        "yes-no": directives.unchanged_required,
        "turned": directives.flag,
    }

    def run(self) -> list[nodes.Node]:
        """Show them."""
        self.env.note_dependency(str(_root(self.env) / self.arguments[0].split()[0]))
        found = lookup(_root(self.env), self.arguments[0])
        if not isinstance(found, dict):
            return self._missing()
        found = turned(found) if "turned" in self.options else found
        pairs = (line.partition(":") for line in self.content if line.strip())
        names = {key.strip(): name.strip() for key, _, name in pairs}
        head, answers = self.options.get("head", ""), self.options.get("yes-no", "").split()
        lines = layout(found, names, head=head, answers=answers)
        return [table(*([nodes.Text(cell) for cell in line] for line in lines))]

    def _missing(self) -> list[nodes.Node]:
        words = self.options.get("missing")
        if words is None:
            return [nodes.paragraph("", "", nodes.emphasis("", MISSING))]
        if not words:
            return []
        inline, messages = self.parse_inline(words)
        return [nodes.paragraph(words, "", *inline), *messages]


def table(head: list[nodes.Node], *rows: list[nodes.Node]) -> nodes.table:
    """Make a table of inline nodes, with the widths of its columns as they come."""
    widths = [
        max(len(cell.astext()) for cell in column) for column in zip(head, *rows, strict=True)
    ]
    group = nodes.tgroup("", *(nodes.colspec(colwidth=width) for width in widths), cols=len(head))
    group += nodes.thead("", _row(head))
    group += nodes.tbody("", *map(_row, rows))
    return nodes.table("", group, classes=["colwidths-auto", "measured"])


def _row(cells: list[nodes.Node]) -> nodes.row:
    return nodes.row("", *(nodes.entry("", nodes.paragraph("", "", cell)) for cell in cells))


def _root(env: Any) -> Path:
    return Path(env.srcdir) / "results"


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the role and the directive."""
    app.add_role("measured", Figure())
    app.add_directive("measured", Table)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
