"""Every recipe's toy run ends where it ended before a refactoring, see `losses.py`."""

import json
from pathlib import Path
from typing import Any

import pytest
from losses import GOLDEN, STEPS, machine, toy_run
from toy_runs import RECIPES

RECORDED = json.loads(GOLDEN.read_text(encoding="utf-8"))


def flat(value: Any, name: str = "") -> dict[str, float | None]:
    """Numbers by the way to them."""
    if isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        return {k: v for key, inner in pairs for k, v in flat(inner, f"{name}.{key}").items()}
    return {name: value}


def assert_explained(folder: Path) -> None:
    """The README.txt of a finished run has each of its files, and no others."""
    text = (folder / "README.txt").read_text(encoding="utf-8")
    listed = {line.split()[0] for line in text.partition("\n\nCommand:")[0].splitlines()[3:]}
    assert listed == {path.name for path in folder.iterdir()}
    assert "finished, at step 20" in text and "Next:\n  python -m recipes." in text


@pytest.mark.parametrize("name", RECIPES)
def test_losses_and_scores_are_those_before(name: str, toy_scenes: Path, tmp_path: Path) -> None:
    found = json.loads(json.dumps(toy_run(name, toy_scenes, tmp_path / name)))
    assert_explained(tmp_path / name)
    wanted = RECORDED["runs"][name]
    assert len([row for row in wanted["rows"] if "loss" in row]) == STEPS
    assert (name == "pretrain") == (not wanted["scores"])
    if RECORDED["machine"] == machine():
        assert found == wanted
    else:  # scores count clips: one of eight may fall on the other side
        own, before = flat(found["rows"]), flat(wanted["rows"])
        assert own.keys() == before.keys() and found["scores"].keys() == wanted["scores"].keys()
        losses = {key: value for key, value in before.items() if key.endswith(".loss")}
        assert {key: own[key] for key in losses} == pytest.approx(losses, rel=1e-2)
