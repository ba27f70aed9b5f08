"""Curves do not lag; legends have a fixed place, since the search for the best one warns."""

import ast
from pathlib import Path

import pytest

from recipes.engine.curve import epoch_means, smooth, unit_of
from recipes.engine.log import Row

ROOT = Path(__file__).parents[2]
FILES = [path for part in ("avblocks", "recipes", "docs") for path in (ROOT / part).rglob("*.py")]


def legends(path: Path) -> list[ast.Call]:
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    calls = [node for node in nodes if isinstance(node, ast.Call)]
    return [c for c in calls if isinstance(c.func, ast.Attribute) and c.func.attr == "legend"]


def test_every_legend_has_a_fixed_place() -> None:
    found = {path: legends(path) for path in FILES}
    for path, calls in found.items():
        for call in calls:
            places = [ast.literal_eval(word.value) for word in call.keywords if word.arg == "loc"]
            assert places and places != ["best"], f"{path}:{call.lineno}"
    assert any(found.values())


def test_the_smoothed_curve_passes_through_the_epochs_means() -> None:
    """A falling loss: a mean of the past would lie above the means of all epochs."""
    steps = 100
    losses = [10.0 * 0.995**step for step in range(6 * steps)]
    rows: list[Row] = [
        {"epoch": (step + 1) / steps, "loss": loss} for step, loss in enumerate(losses)
    ]
    smoothed = smooth(losses)
    for epoch, mean in epoch_means(rows).items():
        middle = smoothed[(epoch - 1) * steps : epoch * steps]
        assert sum(middle) / steps == pytest.approx(mean, rel=2e-3)


@pytest.mark.parametrize("count", [1, 2, 3, 50])
def test_a_line_stays_a_line(count: int) -> None:
    line = [3.0 - 0.5 * index for index in range(count)]
    assert smooth(line, share=0.3) == pytest.approx(line)


def test_noise_is_smoothed() -> None:
    values = [float(index % 2) for index in range(100)]
    assert all(abs(value - 0.5) < 0.2 for value in smooth(values)[5:-5])
    assert smooth([]) == []


def test_units() -> None:
    names = ("eval/nn_all", "eval/ciou_median_auc", "sdr", "miou_avss", "not_scored", "other")
    assert [unit_of(name) for name in names] == ["%", "%", "dB", "from 0 to 1", "mixtures", ""]
