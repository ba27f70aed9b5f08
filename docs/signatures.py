"""The reference: names as users import them, protocols without arguments, tables of names.

A class or a function has its docstring wherever it is imported. The docstring of a `partial` or of
a type is below its assignment, in one module; this extension passes it to autodoc.

A directive lists the names that a page of the reference documents, each with its first line::

    .. names-on:: fusion
"""

import ast
import inspect
import re
from functools import partial
from importlib import import_module
from pathlib import Path
from types import GenericAlias
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.ext.autosummary import Autosummary
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.nodes import make_refnode

_DIRECTIVE = re.compile(r"^\.\. auto(\w+):: (avblocks[\w.]*)$", re.MULTILINE)


def names_on(page: Path) -> list[str]:
    """List the names that a page documents, in order; for a module, the names that it defines."""
    names = []
    for kind, name in _DIRECTIVE.findall(page.read_text(encoding="utf-8")):
        names += defined_in(name) if kind == "module" else [name]
    return names


def defined_in(module: str) -> list[str]:
    """List the public classes and functions that a module defines itself."""
    return [
        f"{module}.{name}"
        for name, value in vars(import_module(module)).items()
        if not name.startswith("_")
        and (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__ == module
    ]


def comment(name: str) -> list[str]:
    """Find the docstring below an assignment by the name that users import.

    Returns:
        Its lines; none if there is none.
    """
    module, _, attribute = name.rpartition(".")
    analyzer = ModuleAnalyzer.for_module(module)
    found = analyzer.find_attr_docs().get(("", attribute))
    if found:
        return list(found)
    imports = (node for node in ast.parse(analyzer.code).body if isinstance(node, ast.ImportFrom))
    homes = [node.module for node in imports if attribute in {alias.name for alias in node.names}]
    return comment(f"{homes[0]}.{attribute}") if homes else []


def _docstring(*event: Any) -> None:
    _, _, name, value, _, lines = event
    if isinstance(value, partial | GenericAlias):
        lines[:] = comment(name)


def _signature(*event: Any) -> tuple[str, None] | None:
    """Show no arguments for a protocol, because users do not construct one."""
    value = event[3]
    return ("", None) if getattr(value, "_is_protocol", False) else None


def _homes(app: Sphinx, env: BuildEnvironment) -> None:
    """Resolve links that name the defining module of a function, as Sphinx does for classes."""
    objects = env.domains.python_domain.objects
    for name, entry in list(objects.items()):
        if entry.objtype == "function" and not entry.aliased:
            module, attribute = name.rsplit(".", 1)
            value = getattr(import_module(module), attribute)
            if inspect.isfunction(value):
                home = f"{value.__module__}.{value.__qualname__}"
                objects.setdefault(home, entry._replace(aliased=True))


def _anywhere(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.TextElement
) -> nodes.reference | None:
    """Link a name in backticks to another module, if the name is unique."""
    if node["reftype"] != "obj":
        return None
    found = env.domains.python_domain.find_obj(env, "", "", node["reftarget"], None, 1)
    own = [(name, entry) for name, entry in found if not entry.aliased]
    if len(own) != 1:
        return None
    ((name, entry),) = own
    place = entry.docname, entry.node_id
    return make_refnode(app.builder, node["refdoc"], *place, content, name)


class NamesOn(Autosummary):
    """A table of the names on a page."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Insert them."""
        page = Path(self.env.srcdir, "reference", f"{self.arguments[0]}.rst")
        self.env.note_dependency(str(page))
        self.options["nosignatures"] = None
        self.content = StringList(names_on(page), str(page))
        return super().run()


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive, and connect to autodoc before napoleon does."""
    app.setup_extension("sphinx.ext.autodoc")
    app.setup_extension("sphinx.ext.autosummary")
    app.add_directive("names-on", NamesOn)
    app.connect("autodoc-process-docstring", _docstring, priority=400)
    app.connect("autodoc-process-signature", _signature)
    app.connect("env-updated", _homes)
    app.connect("missing-reference", _anywhere)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
