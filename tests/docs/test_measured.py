"""Figures in the documentation: from their files, and told to be missing where there are none."""

import json
from pathlib import Path

import measured
import pytest
from built import built

PAGE = """
Page
====

It is :measured:`x.json size mb` MB, or :measured:`none.json a`, or :measured:`x.json size none`.

.. measured:: x.json speed
   :head: kind, a second

   slow: the slow one
   lost: the lost one

.. measured:: x.json scores

.. measured:: x.json scores
   :turned:

.. measured:: x.json gpu
   :missing: No figure: ``command`` measures
      it.

.. measured:: x.json gpu lines
   :missing:

.. measured:: none.json
"""


@pytest.fixture
def results(tmp_path: Path) -> Path:
    (tmp_path / "results").mkdir()
    figures = {
        "size": {"mb": 1234.5},
        "speed": {"fast": 9, "slow": 1.5},
        "scores": {"ours": {"top-1": 50.25, "mAP": 1}, "theirs": {"mAP": 2}},
    }
    (tmp_path / "results" / "x.json").write_text(json.dumps(figures))
    return tmp_path / "results"


def test_values_are_found_by_their_keys(results: Path) -> None:
    assert measured.lookup(results, "x.json size mb") == 1234.5
    for words in ("x.json size", "x.json size none", "x.json none a", "none.json a"):
        assert measured.lookup(results, words) in (None, {"mb": 1234.5})
    assert measured.text(1234.5) == "1,234.5" and measured.text(None) == "not measured yet"


def test_several_figures_are_their_mean_and_deviation() -> None:
    assert measured.text([80.0, 90.0, 100.0]) == "90.0 ± 10.0"
    assert measured.text([0.5, 0.7]) == "0.60 ± 0.14"
    assert measured.text([80.04]) == "80.0" and measured.text([]) == "not measured yet"


def test_rows_and_columns(results: Path) -> None:
    speed, scores = (measured.lookup(results, f"x.json {key}") for key in ("speed", "scores"))
    assert measured.layout(speed, {}, head="kind, a second") == [
        ["kind", "a second"],
        ["fast", "9"],
        ["slow", "1.5"],
    ]
    beside = {**speed, "versions": {"python": "3"}}  # what is not shown has no column
    assert measured.layout(beside, {"fast": "fast"}) == [["", ""], ["fast", "9"]]
    assert measured.layout(scores, {"theirs": "others", "none": "nobody"}) == [
        ["", "mAP"],
        ["others", "2"],
        ["nobody", "not measured yet"],
    ]


def test_a_1_that_is_a_yes_is_shown_as_one() -> None:
    found = {"SIGTERM": {"code": 1, "saved": 1}, "SIGHUP": {"code": 0, "saved": 0}}
    assert measured.layout(found, {}, answers=["saved"])[1:] == [
        ["SIGTERM", "1", "yes"],
        ["SIGHUP", "0", "no"],
    ]
    assert measured.layout({"kills": 1, "same": 1}, {}, answers=["same"])[1:] == [
        ["kills", "1"],
        ["same", "yes"],
    ]


def test_a_page_shows_them(results: Path) -> None:
    source = results.parent
    (source / "index.rst").write_text(PAGE)
    out = built(source, source / "out", "text", extension="measured", exclude_patterns=["results"])
    shown = " ".join((out / "index.txt").read_text().split())
    assert "It is 1,234.5 MB, or not measured yet, or not measured yet." in shown
    assert "| kind | a second |" in shown and "| the slow one | 1.5 |" in shown
    assert "| the lost one | not measured yet |" in shown and "fast" not in shown
    assert shown.count("No figure") == 1 and 'No figure: "command" measures it.' in shown
    assert "| ours | 50.25 | 1 |" in shown and "| mAP | 1 | 2 |" in shown
    assert "| top-1 | 50.25 | not measured yet |" in shown and shown.endswith(
        "it. *not measured yet*"
    )
