"""Sphinx settings."""

import sys
from pathlib import Path

from avblocks import __version__

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

project = "avblocks"
author = "the avblocks authors"
project_copyright = "the avblocks authors. Apache License 2.0"
release = version = __version__
extensions = [
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "commands",
    "gallery",
    "mathml",
    "measured",
    "players",
    "presets",
    "signatures",
]
exclude_patterns = ["_build", "results", "tutorials"]
default_role = "py:obj"  # a name in backticks is a link where there is such a name
smartquotes = False  # options such as --run.resume keep their dashes
# The copy buttons leave out prompts, output and remarks, and have none on the output of tutorials.
copybutton_selector = "div:not(.sphx-glr-script-out) > div.highlight > pre"
copybutton_exclude = ".linenos, .gp, .go, .gt, .gr, .cs"

sphinx_gallery_conf = {
    "examples_dirs": "tutorials",
    "gallery_dirs": "auto_tutorials",
    "filename_pattern": r"\d\d_\w+\.py$",
    "within_subsection_order": "FileNameSortKey",
    "reset_modules": ("tutorial.start",),
    "reset_modules_order": "both",
    "image_scrapers": ("tutorial.show",),
    "capture_repr": ("_repr_html_", "__repr__"),
    "doc_module": ("avblocks",),
    "reference_url": {"avblocks": None},
    "abort_on_example_error": True,
    "remove_config_comments": True,
    "download_all_examples": False,
    "write_computation_times": False,
    "show_signature": False,
    "min_reported_time": 600,
    "thumbnail_size": (400, 260),
    "default_thumb_file": str(Path(__file__).parent / "_static/logo.svg"),
    "css": ("sg_gallery",),
}

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
html_title = f"avblocks {release}"
html_logo = html_favicon = "_static/logo.svg"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_math_renderer = "mathml"
html_show_sourcelink = html_copy_source = False
# Pages without others below them have no section to navigate in.
_ALONE = ("classification", "contributing", "datasets", "gallery", "index", "metrics", "parity")
_MORE = ("ingredients", "performance", "recipes", "reliability", "results", "tasks", "zoo")
html_sidebars = {page: [] for page in (*_ALONE, *_MORE)}
html_context = {"default_mode": "auto"}  # light or dark as the reader's system is
html_theme_options = {
    "navbar_end": ["theme-switcher"],
    "primary_sidebar_end": [],
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "logo": {"text": f"avblocks {release}"},
    "pygments_light_style": "a11y-light",
    "pygments_dark_style": "github-dark",  # others have comments as bright as the code
    "header_links_before_dropdown": 7,
    "show_toc_level": 2,
}
