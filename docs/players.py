"""Players of audio and video files in pages, side by side, each with a label.

A directive takes one file per line, with its label::

    .. players::

       media/mixture.m4a: mixture
       media/localization.mp4: similarity to the audio

With the option ``missing``, this text stands in the place of files that do not exist yet; without
it, a file that does not exist is an error.
"""

from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

TAGS = {".wav": "audio", ".m4a": "audio", ".mp4": "video"}
"""Element of each kind of file."""


class player(nodes.General, nodes.Element):  # noqa: N801, as docutils names its nodes
    """A player of one file: ``uri`` in the sources, and ``label``."""


class Players(SphinxDirective):
    """Players of the files that the content lists."""

    has_content = True
    option_spec = {"missing": directives.unchanged_required}  # noqa: RUF012, as docutils has it

    def run(self) -> list[nodes.Node]:
        """Insert a player of each file."""
        row = nodes.container(classes=["players"])
        for line in self.content:
            file, _, label = line.partition(":")
            uri, path = self.env.relfn2path(file.strip(), self.env.docname)
            self.env.note_dependency(path)
            if not Path(path).is_file() and "missing" in self.options:
                return self.parse_text_to_nodes(self.options["missing"])
            if Path(path).suffix not in TAGS or not Path(path).is_file():
                raise self.error(f"players: no {' or '.join(TAGS)} file {path}")
            self.env.images.add_file(self.env.docname, uri)
            row += player(uri=uri, label=label.strip())
        return [row]


def visit_html(translator: Any, node: player) -> None:
    """Write a figure with the player and its label, and let the builder copy the file."""
    builder, uri = translator.builder, node["uri"]
    builder.images[uri] = builder.env.images[uri][1]
    source = f"{builder.imgpath}/{builder.images[uri]}"
    tag, label = TAGS[Path(uri).suffix], escape(node["label"])
    shown = "" if tag == "audio" else " playsinline loop"
    translator.body.append(
        f'<figure class="player"><{tag} controls preload="metadata"{shown} src="{escape(source)}" '
        f'aria-label="{label}"></{tag}><figcaption>{label}</figcaption></figure>\n'
    )
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_node(player, html=(visit_html, None))
    app.add_directive("players", Players)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
