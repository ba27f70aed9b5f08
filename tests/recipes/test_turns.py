"""Whole commands, of one commit and of two in turn: time, memory and what they produce."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from recipes.benchmark import data_against, turns
from recipes.benchmark.turns import timed

BEFORE = Path("before")
BUSY = """
import subprocess, sys, time
def work(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
if sys.argv[1:] == ["fails"]:
    sys.exit(3)
if sys.argv[1:] == ["worker"]:
    work(0.4)
else:
    subprocess.Popen([sys.executable, "-m", "busy", "worker"])  # never waited for
"""


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Runs take 2 s here and 3 s before, more each time, and write what they were told to."""
    given: list[list[str]] = []

    @contextmanager
    def tree(commit: str) -> Iterator[Path]:
        assert commit == "abc"
        yield BEFORE

    def timed(place: Path, words: Sequence[str]) -> dict[str, float]:
        given.append([str(place == BEFORE), *words[:2]])
        out = Path(words[words.index("--run.dir") + 1])
        out.mkdir()
        column = "nn_" if place == BEFORE else "eval/nn_"
        rows = f"step,epoch,{column}fusion,{column}all\n0,0,10,11\n1,1,,\n2,2,{len(given)},21\n"
        (out / "metrics.csv").write_text(rows)
        return {"wall_s": (3.0 if place == BEFORE else 2.0) + len(given) // 3, "cpu_s": 4.0}

    monkeypatch.setattr(turns, "work_tree", tree)
    monkeypatch.setattr(turns, "timed", timed)
    return given


def test_a_pre_training_has_its_scores_and_only_times_have_ratios(
    commands: list[list[str]], tmp_path: Path
) -> None:
    out = tmp_path / "found.json"
    config = data_against.Config(commit="abc", cases=("paper_pretrain",), repeats=3, out=out)
    data_against.main(config)
    assert (
        commands
        == [
            ["False", "recipes.paper_pretrain", "scenes"],
            ["True", "recipes.paper_pretrain", "scenes"],
        ]
        * 3
    )
    found = json.loads(out.read_text())["paper_pretrain"]
    assert found["ours"] == {
        "wall_s": 3,
        "cpu_s": 4,
        "nn_fusion": 3,
        "nn_all": 21,
        "runs_per_s": 0.3333,
    }
    assert found["before"]["wall_s"] == 4 and found["before"]["nn_fusion"] == 4
    assert found["times_faster"] == {"wall_s": 1.333, "cpu_s": 1}
    assert (found["repeats"], found["runs"]) == (3, 1)


@pytest.mark.parametrize(
    ("wrong", "needed"),
    [({"commit": None}, "--commit"), ({"cases": ("predict",)}, "--cases predict")],
)
def test_wrong_settings_are_named(wrong: dict[str, object], needed: str) -> None:
    config = data_against.Config(**{"commit": "abc"} | wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=needed):
        data_against.main(config)


def test_workers_that_nobody_waits_for_count(tmp_path: Path) -> None:
    (tmp_path / "busy.py").write_text(BUSY)
    used = timed(tmp_path, ["busy"])
    assert 0.4 < used["cpu_s"] < 2 and used["memory_mb"] > 1
    with pytest.raises(ValueError, match="busy ended with an error"):
        timed(tmp_path, ["busy", "fails"])
