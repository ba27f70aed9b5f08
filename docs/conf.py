"""Sphinx settings."""

import sys
from pathlib import Path

from avblocks import __version__

sys.path.insert(0, str(Path(__file__).parent))

project = "avblocks"
author = "the avblocks authors"
release = version = __version__
extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.intersphinx",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "measured",
]
exclude_patterns = ["_build", "results"]
html_theme = "pydata_sphinx_theme"
html_title = "avblocks"
default_role = "code"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
python_maximum_signature_line_length = 88
# Types of other projects, and jaxtyping's shapes, have no page here to link to.
nitpick_ignore_regex = [
    (r"py:.*", r"(?!avblocks).*"),
    (r"py:.*", r"avblocks\.(nn\.maskers\.Generators|data\.(datasets\.)?_\w+\.\w+)"),
]
intersphinx_mapping: dict[str, tuple[str, None]] = {}
