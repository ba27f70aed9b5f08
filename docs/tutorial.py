"""How tutorials are run and shown: hooks of Sphinx-Gallery, see ``conf.py``."""

import os
import shutil
import warnings
from pathlib import Path
from typing import Any

import matplotlib as mpl
import torch
from players import TAGS
from sphinx_gallery.scrapers import figure_rst

ROOT = Path(__file__).parents[1]
RUNS = ROOT / "docs/tutorials/runs"
"""What the tutorials write, as each runs in its own folder."""
RC = ROOT / "docs/matplotlibrc"
STYLE = dict(mpl.rc_params_from_file(RC, use_default_template=False))
"""Style of figures on light and dark pages."""
INK: str = STYLE["text.color"]
_FILTERS = list(warnings.filters)


def start(conf: dict[str, Any], file: str | None, when: str) -> None:
    """Prepare for a tutorial: a seed, the style of figures, and no files of an earlier build.

    A warning of a tutorial is an error, and fails the build; Sphinx's own are not.
    """
    if when == "after":
        warnings.filters[:] = _FILTERS
        return
    mpl.rcdefaults()
    mpl.rcParams.update(STYLE)
    torch.manual_seed(0)
    os.environ |= {"PYTHONPATH": str(ROOT), "MATPLOTLIBRC": str(RC)}  # for python -m recipes.NAME
    warnings.simplefilter("error")
    shutil.rmtree(RUNS, ignore_errors=True)


def show(block: Any, variables: dict[str, Any], conf: dict[str, Any]) -> str:
    """Show or play the files that a block of code has written below ``runs``, except for data.

    Returns:
        Figures and players as reStructuredText.
    """
    script, images = Path(variables["src_file"]), variables["image_path_iterator"]
    shown = variables.setdefault("shown", set())
    files = sorted(script.parent.glob("runs/**/*.*"), key=_age)
    new = [
        f for f in files if _age(f) not in shown and script.parent / "runs/data" not in f.parents
    ]
    shown.update(map(_age, new))
    rst, tracks = "", ""
    for file in new:
        if file.suffix in (".png", ".svg"):
            copy = shutil.copyfile(file, Path(next(images)).with_suffix(file.suffix))
            rst += figure_rst([copy], conf["src_dir"], file.stem.replace("_", " "))
        elif file.suffix in TAGS:
            copy = Path(images.image_path).with_name(f"{script.stem}-{file.name}")
            shutil.copyfile(file, copy)
            tracks += f"   images/{copy.name}: {file.stem}\n"
    return rst + (f"\n.. players::\n\n{tracks}\n" if tracks else "")


def _age(file: Path) -> tuple[int, str]:
    return file.stat().st_mtime_ns, str(file)
