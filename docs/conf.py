"""Sphinx settings."""

import sys
from pathlib import Path

from avblocks import __version__

sys.path.insert(0, str(Path(__file__).parent))

project = "avblocks"
author = "the avblocks authors"
project_copyright = "the avblocks authors. Apache License 2.0"
release = version = __version__
extensions = [
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "gallery",
    "mathml",
    "measured",
    "presets",
    "signatures",
]
exclude_patterns = ["_build", "results"]
default_role = "py:obj"  # a name in backticks is a link where there is such a name

autodoc_default_options = {"members": True, "special-members": "__call__"}
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
python_maximum_signature_line_length = 1  # one argument a line
toc_object_entries_show_parents = "hide"
# As a list, which is what a constructor takes, and not as one more entry each.
napoleon_custom_sections = [("Attributes", "params_style")]
# Types of other projects, jaxtyping's shapes and type variables have no page here to link to.
nitpick_ignore_regex = [(r"py:.*", r"(?!avblocks).*"), (r"py:class", r"avblocks\..*\.[A-Z]")]

html_theme = "pydata_sphinx_theme"
html_title = "avblocks"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_js_files = [("copy.js", {"defer": "defer"})]
html_math_renderer = "mathml"
html_show_sourcelink = html_copy_source = False
# Pages without others below them have no section to navigate in.
_ALONE = ("classification", "contributing", "datasets", "gallery", "index", "parity", "performance")
html_sidebars = {
    page: [] for page in (*_ALONE, "recipes", "reliability", "results", "tasks", "zoo")
}
html_context = {"default_mode": "auto"}  # light or dark as the reader's system is
html_theme_options = {
    "navbar_end": ["theme-switcher"],
    "primary_sidebar_end": [],
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "header_links_before_dropdown": 4,
    "show_toc_level": 2,
}
