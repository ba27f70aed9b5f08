"""Tables of hyper-parameters: the presets of a recipe beside published values.

The values of the presets come from the recipe, the published ones from the directive::

    .. presets:: paper_pretrain vggsound scenes
       :published: paper

       epochs: 200
       model.num-tokens: 16, 8, 8
       run.accumulate:

Each line is an option of the recipe and its published value, if there is one. A value of a preset
that differs from it is bold and marked with ≠.
"""

from functools import reduce
from importlib import import_module
from typing import Any

from docutils import nodes
from docutils.parsers.rst import directives
from measured import table
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


def value_of(config: Any, option: str) -> str:
    """Format the value of an option, such as `model.attn-ratio`, in a configuration."""
    return text(reduce(getattr, option.replace("-", "_").split("."), config))


def text(value: Any) -> str:
    """Format a value of a setting."""
    match value:
        case bool():
            return "yes" if value else "no"
        case int() | float():
            return f"{value:g}"
        case tuple():
            return ", ".join(map(text, value))
    return "none" if value is None else str(value)


def plain(published: str) -> str:
    """Format a published value as `text` does, so that the two can be compared."""
    try:
        return ", ".join(text(float(part)) for part in published.split(","))
    except ValueError:
        return published


class Presets(SphinxDirective):
    """A table of options, published values, and the values of presets."""

    required_arguments = 2
    final_argument_whitespace = True
    has_content = True
    option_spec = {"published": directives.unchanged_required}  # noqa: RUF012, as docutils has it

    def run(self) -> list[nodes.Node]:
        """Show it."""
        recipe, names = self.arguments[0], self.arguments[1].split()
        module = import_module(f"recipes.{recipe}")
        self.env.note_dependency(str(module.__file__))
        configs = [module.PRESETS[name][1] for name in names]
        rows: list[list[nodes.Node]] = []
        for line in self.content:
            option, _, published = map(str.strip, line.partition(":"))
            if option:
                wanted = plain(published)
                values = [value_of(config, option) for config in configs]
                rows.append([nodes.literal("", f"--{option}"), nodes.Text(wanted)])
                rows[-1] += [_cell(value, wanted) for value in values]
        head = ["option", self.options.get("published", "published"), *names]
        return [table([nodes.Text(title) for title in head], *rows)]


def _cell(value: str, wanted: str) -> nodes.Node:
    same = not wanted or value == wanted
    return nodes.Text(value) if same else nodes.strong("", f"≠ {value}")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("presets", Presets)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
