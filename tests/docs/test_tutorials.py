"""Tutorials, players and shell commands: what is made of them. The build of the docs runs them."""

import os
import warnings
from pathlib import Path

import matplotlib as mpl
import pages
import pytest
import tutorial
from built import DOCS, built
from commands import CommandLexer
from pygments.token import Comment

TUTORIALS = sorted((DOCS / "tutorials").glob("*.py"))


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """A tutorial that has written a figure, audio and data."""
    for name in ("figure.png", "data/clip.wav", "a/left.wav", "notes.txt"):
        path = tmp_path / "tutorials/runs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"content")
    (tmp_path / "auto/images").mkdir(parents=True)
    return tmp_path / "tutorials/01_it.py"


def variables(script: Path) -> dict:
    template = str(script.parents[1] / "auto/images/sphx_glr_01_it_{0:03}.png")
    from sphinx_gallery.scrapers import ImagePathIterator

    return {"src_file": str(script), "image_path_iterator": ImagePathIterator(template)}


def test_what_a_block_writes_is_shown_once(script: Path) -> None:
    known, conf = variables(script), {"src_dir": str(script.parents[1])}
    shown = tutorial.show(None, known, conf)
    assert "sphx_glr_01_it_001.png" in shown
    assert "images/01_it-left.wav: left" in shown
    assert "clip" not in shown and "notes" not in shown
    assert (script.parents[1] / "auto/images/01_it-left.wav").read_bytes() == b"content"
    assert tutorial.show(None, known, conf) == ""


def test_a_written_file_is_shown_again(script: Path) -> None:
    known, conf = variables(script), {"src_dir": str(script.parents[1])}
    tutorial.show(None, known, conf)
    file = script.parent / "runs/a/left.wav"
    os.utime(file, ns=(0, 1))
    assert "left.wav" in tutorial.show(None, known, conf)


def test_a_tutorial_starts_afresh(script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PYTHONPATH", "MATPLOTLIBRC"):
        monkeypatch.setenv(name, "")
    monkeypatch.setattr(tutorial, "RUNS", script.parent / "runs")
    with mpl.rc_context(), warnings.catch_warnings():
        tutorial.start({}, script.name, "before")
        assert mpl.rcParams["figure.facecolor"] == "none"
        with pytest.raises(UserWarning):
            warnings.warn("a warning", stacklevel=1)
    assert not (script.parent / "runs").exists()
    assert (Path(os.environ["PYTHONPATH"]) / "recipes").is_dir()


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_every_tutorial_is_described_and_leads_on(path: Path) -> None:
    text = pages.prose_of(path.read_text(encoding="utf-8"))
    following = TUTORIALS[TUTORIALS.index(path) + 1 :]
    assert len(text.split()) > 150
    assert not following or f"sphx_glr_auto_tutorials_{following[0].name}" in text


PAGE = """
Page
====

.. players::

   a.wav: the <mixture>
"""


def test_a_player_is_built_and_its_file_copied(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"audio")
    (tmp_path / "index.rst").write_text(PAGE)
    out = built(tmp_path, tmp_path / "out", "html", extension="players")
    html = (out / "index.html").read_text()
    assert '<audio controls preload="metadata" src="_images/a.wav"' in html
    assert "<figcaption>the &lt;mixture&gt;</figcaption>" in html
    assert (out / "_images/a.wav").read_bytes() == b"audio"


def test_a_lost_file_fails_the_build(tmp_path: Path) -> None:
    from sphinx.errors import SphinxWarning

    (tmp_path / "index.rst").write_text(PAGE)
    with pytest.raises((SphinxWarning, AssertionError)):
        built(tmp_path, tmp_path / "out", "html", extension="players")


def test_remarks_of_commands_are_marked() -> None:
    text = "#!/bin/bash\n#SBATCH --nodes=2\npython a.py '#1'   # a remark\n# and one\n"
    marked = [value for token, value in CommandLexer().get_tokens(text) if token is Comment.Special]
    assert [value.strip() for value in marked] == ["# a remark", "# and one"]
