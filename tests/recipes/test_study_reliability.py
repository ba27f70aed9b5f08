"""The study of reliability: each experiment, and that wrong results are seen to be wrong."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from recipes.engine.run import Folder
from tests.reliability import measure as study_reliability
from tests.reliability.experiments import Experiment, experiments
from tests.reliability.files import hostile
from tests.reliability.measure import Config, flat, main
from tests.reliability.runs import Bench, identical, prepare

ALL = experiments(kills=5)
RIGHT = {
    "kill": {"kills": 5, "survived": 5, "saving": 3, "identical": 1},
    "resume": {"a": {"stops": 2, "identical": 2}, "b": {"stops": 2, "identical": 2}},
    "preemption": {"SIGTERM": {"exit_code": 143, "seconds": 1.8, "saved": 1, "identical": 1}},
    "slurm": {"exit_code": 138, "requeued": 1, "resumed": 1, "identical": 1},
    "lock": {"started": 2, "refused": 2, "free": 1},
    "full_disk": {"stopped": 3, "told": 3, "untouched": 3},
    "read_only": {"tried": 3, "told": 3},
    "damaged_checkpoints": {"tried": 41, "refused": 41},
    "damaged_newest": {"told": 1, "identical": 1},
    "other_model": {"tried": 2, "refused": 2, "untouched": 2},
    "pickles": {"tried": 6, "refused": 6, "ran": 0},
    "hostile_files": {"tried": 3, "refused": 2, "bounded": 1, "seconds": 0.1, "mb": 1.0},
    "nonfinite_stop": {"exit_code": 2, "step": 1, "clip": 1, "save": 1},
    "nonfinite_skip": {"steps": 12, "left_out": 8, "counted": 8, "finite": 1, "identical": 1},
    "workers": {"dies_1": {"exit_code": 2, "told": 1, "seconds": 2.0}},
    "two_processes": {"ddp": {"loss": 1e-7, "probe": 0.0, "weights": 1e-6}},
    "metrics_over_processes": {"finetune_ddp": {"scores": 76, "apart": 0.0}},
    "unequal_last_batches": {"clips": 13, "tested": 13},
}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return prepare(tmp_path_factory.mktemp("reliability"))


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", ALL)
def test_an_experiment_ends_as_promised(bench: Bench, name: str) -> None:
    own = replace(bench, folder=bench.folder / name)
    own.folder.mkdir()
    figures = ALL[name].run(own)
    assert ALL[name].right(figures), figures


def test_hostile_files_are_refused_or_bounded(bench: Bench, tmp_path: Path) -> None:
    figures = hostile(replace(bench, folder=tmp_path))
    assert ALL["hostile_files"].right(figures), figures
    assert figures["refused"] >= 9  # what claims hours is read: silence, and a held image


def test_right_results_are_known_for_all() -> None:
    assert RIGHT.keys() == ALL.keys()


@pytest.mark.parametrize("name", RIGHT)
def test_any_wrong_figure_is_seen(name: str) -> None:
    right = json.dumps(RIGHT[name])
    assert ALL[name].right(RIGHT[name])
    harmless = {"saving", "steps", "scores", "weights", "mb", "seconds", "kills", "clips"}
    inner = [RIGHT[name], *(value for value in RIGHT[name].values() if isinstance(value, dict))]
    for place, figures in enumerate(inner):
        for key, value in figures.items():
            if key in harmless or isinstance(value, dict):
                continue
            spoilt = json.loads(right)
            target = spoilt if place == 0 else list(spoilt.values())[place - 1]
            target[key] = value - 1 if value >= 1 else value + 1
            assert not ALL[name].right(spoilt), key


def test_what_is_slow_or_large_is_not_right() -> None:
    workers, files = RIGHT["workers"]["dies_1"], RIGHT["hostile_files"]
    assert not ALL["workers"].right({"dies_1": {**workers, "seconds": 100.0}})
    for key in ("seconds", "mb"):
        assert not ALL["hostile_files"].right({**files, key: 1000.0})
    assert not ALL["workers"].right({})


def test_figures_asked_for_most_have_names_of_their_own() -> None:
    found = flat(RIGHT)
    assert (found["kills"], found["kills_survived"]) == (5, 5)
    assert found["resume_bitwise"] == {"stops": 4, "identical": 4}
    assert found.keys() >= RIGHT.keys()


def study(folder: Path, monkeypatch: pytest.MonkeyPatch, results: dict[str, dict]) -> list[str]:
    """Run the study with experiments that give these results; list those that were run."""
    ran: list[str] = []

    def experiment(name: str) -> Experiment:
        def run(bench: Bench) -> dict:
            assert bench.folder.is_dir() and not list(bench.folder.iterdir())
            (bench.folder / "left").touch()
            ran.append(name)
            return results[name]

        return Experiment(run, ALL[name].right)

    known = {name: experiment(name) for name in ALL}
    monkeypatch.setattr(study_reliability, "experiments", lambda kills: known)
    monkeypatch.setattr(
        study_reliability, "prepare", lambda folder: Bench(folder / "c", folder / "s", folder)
    )
    folder.mkdir(exist_ok=True)
    main(Config(run=Folder(dir=folder), out=folder / "out.json"))
    return ran


def test_the_study_writes_its_figures_and_goes_on_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sorted(study(tmp_path, monkeypatch, RIGHT)) == sorted(ALL)
    found = json.loads((tmp_path / "out.json").read_text())
    assert found["kills"] == 5 and found["slurm"]["requeued"] == 1
    assert "torch" in found["versions"] and found["machine"]["cores"] > 0
    (tmp_path / "slurm.json").unlink()
    assert study(tmp_path, monkeypatch, RIGHT) == ["slurm"]


def test_a_broken_promise_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spoilt = {**RIGHT, "slurm": {**RIGHT["slurm"], "requeued": 0}}
    with pytest.raises(ValueError, match="not as promised: slurm; their runs are in"):
        study(tmp_path, monkeypatch, spoilt)
    assert json.loads((tmp_path / "out.json").read_text())["slurm"]["requeued"] == 0


def test_unknown_names_are_told() -> None:
    with pytest.raises(ValueError, match="--only some of: kill, resume"):
        main(Config(run=Folder(dir=Path("x")), only=("kil",)))


def test_identical_means_bit_for_bit() -> None:
    import torch

    one = {"a": [torch.tensor([0.0, 1.0]), (1, "x")], "b": None}
    assert identical(one, {"a": [torch.tensor([0.0, 1.0]), (1, "x")], "b": None})
    for other in (
        {"a": [torch.tensor([1e-45, 1.0]), (1, "x")], "b": None},
        {"a": [torch.tensor([0.0, 1.0]), (1, "y")], "b": None},
        {"a": [torch.tensor([0.0, 1.0])], "b": None},
        {"a": one["a"]},
    ):
        assert not identical(one, other)
