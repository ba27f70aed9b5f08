"""Small documentations, built for a test."""

from pathlib import Path

from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace

DOCS = Path(__file__).parents[2] / "docs"


def built(source: Path, out: Path, builder: str, *, extension: str, **settings: object) -> Path:
    """Build a folder with one of our extensions; a warning is an error."""
    (source / "conf.py").write_text(f"import sys; sys.path.insert(0, {str(DOCS)!r})\n")
    with docutils_namespace():  # or what it registers stays for the next one
        app = Sphinx(
            source,
            source,
            out,
            out,
            builder,
            confoverrides={"extensions": [extension], **settings},
            status=None,
            warningiserror=True,
        )
        app.build()
    assert app.statuscode == 0
    return out
