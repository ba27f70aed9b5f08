"""Studies: runs in their order, each once, refused where a folder holds something else."""

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import pytest
from tiny_model import TINY

from recipes import paper_pretrain
from recipes.common.cli import run_cli
from recipes.engine.run import Folder
from recipes.study import classification as study_classification
from recipes.study import decoders as study_decoders
from recipes.study import ingredients as study_ingredients
from recipes.study import lora as study_lora
from recipes.study import runs as _study
from recipes.study import tasks as study_tasks
from recipes.study import zoo as study_zoo
from recipes.study.runs import Study, Task, run_all
from recipes.study.zoo_settings import Config as ZooStudy

POINTS = [f"eval/{name}" for name in study_decoders.POINTS]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the folders of the runs that were started; a recipe called `fails` fails."""
    names: list[str] = []

    def run(command: list[str], **options: object) -> subprocess.CompletedProcess[bytes]:
        folder = Path(command[command.index("--run.dir") + 1])
        names.append(folder.name)
        if command[2] == "recipes.fails":
            options["stdout"].write("error: no such clip\n")
            return subprocess.CompletedProcess(command, 2)
        (folder / "scores.json").write_text("{}")
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(_study.subprocess, "run", run)
    return names


def test_runs_wait_for_those_they_need_and_are_made_once(
    started: list[str], tmp_path: Path
) -> None:
    first = Task(recipe="works", folder=tmp_path / "first")
    then = Task(recipe="works", folder=tmp_path / "then", after=first.folder)
    run_all([first, then], jobs=2)
    assert started == ["first", "then"]
    run_all([first, then], jobs=2)
    assert started == ["first", "then"]


def test_options_for_every_run_on_the_command_line() -> None:
    found: list[study_ingredients.Config] = []
    given = ["--options=--epochs 2 --run.precision bf16-mixed"]
    run_cli(found.append, presets=study_ingredients.PRESETS, doc="", args=given)
    listed = study_ingredients.runs(Path("runs"), seed=0, options=found[0].words)
    assert len(listed) > 5
    for run in listed:
        assert {"--epochs", "2", "--run.precision", "bf16-mixed"} <= {*run.options}


@pytest.mark.parametrize("number", [0, -1])
def test_a_study_has_seeds(number: int) -> None:
    for kind in (Study, ZooStudy):
        with pytest.raises(ValueError, match=f"--seeds must be at least 1, got {number}"):
            kind(seeds=number)
    with pytest.raises(ValueError, match=f"--jobs must be at least 1, got {number}"):
        Study(jobs=number)


def test_a_folder_of_other_settings_is_refused(started: list[str], tmp_path: Path) -> None:
    run_all([Task(recipe="works", folder=tmp_path / "a", options=("--epochs", "2"))], jobs=1)
    with pytest.raises(ValueError, match="other settings"):
        run_all([Task(recipe="works", folder=tmp_path / "a")], jobs=1)


def test_a_failure_names_its_log_and_stops_what_comes_after(
    started: list[str], tmp_path: Path
) -> None:
    first = Task(recipe="fails", folder=tmp_path / "first")
    then = Task(recipe="works", folder=tmp_path / "then", after=first.folder)
    with pytest.raises(ValueError, match=r"code 2, see .*console\.txt: error: no such clip"):
        run_all([first, then], jobs=2)
    assert started == ["first"]


@pytest.mark.parametrize(
    ("study", "count"),
    [
        (study_classification, 2 * len(study_classification.FUSIONS) + 5),
        (study_tasks, 4),
        (study_ingredients, 11),
        (study_lora, 4),
        (study_decoders, 2 * len(study_decoders.DECODERS)),
    ],
)
def test_a_seed_of_a_study_needs_only_what_stands_before(
    study: ModuleType, count: int, tmp_path: Path
) -> None:
    listed = study.runs(tmp_path, seed=1)
    folders = [task.folder for task in listed]
    assert len(set(folders)) == len(folders) == count
    for place, task in enumerate(listed):
        assert task.after is None or task.after in folders[:place]
        assert "--run.seed 1" in task.command


METRICS = """step,epoch,loss,eval/nn_fusion,eval/nn_audio_alone
0,0,,18,30
1,0.5,9,,
2,1,5,,
2,1,,40,29
3,1.5,4,,
4,2,3,,
4,2,,60,31
"""


def test_pretraining_is_read_at_both_ends(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text(METRICS)
    assert study_tasks.pretraining(tmp_path) == {
        "loss_first": 9,
        "loss_last": 3.5,  # over the last epoch
        "nn_fusion_first": 18,
        "nn_audio_alone_first": 30,
        "nn_fusion_last": 60,
        "nn_audio_alone_last": 31,
    }


def test_methods_of_the_zoo_are_of_one_size(capsys: pytest.CaptureFixture[str]) -> None:
    counts = study_zoo.parameters(study_zoo.MODELS)
    assert max(counts.values()) <= 1.1 * min(counts.values())
    assert f"token: {counts['token']:,} parameters" in capsys.readouterr().out
    other = study_zoo.MODELS | {"token": replace(study_zoo.MODELS["token"], depth=8)}
    with pytest.raises(ValueError, match="not of one size within 10%"):
        study_zoo.parameters(other)


def test_the_study_of_the_zoo_keeps_its_rows_and_goes_on(tmp_path: Path) -> None:
    models = {
        "token": replace(TINY, fusion="token", fusion_layers=(1,)),
        "cavmae": replace(TINY, fusion="joint", depth=1),
    }
    config = study_zoo.Config(
        run=Folder(dir=tmp_path / "runs"),
        out=tmp_path,
        seeds=1,
        scenes=(8, 8),
        pretrain_epochs=1,
        probe_epochs=1,
        finetune_epochs=1,
    )
    patches = {"scenes_root": lambda name: tmp_path / "scenes"}
    with patch.multiple("recipes.common.read_set", **patches), patch.object(study_zoo, "SPREAD", 9):
        study_zoo.main(config, models=models)
        written = (tmp_path / "zoo.json").read_bytes()
        found = json.loads(written)["methods"]
        for row in found.values():
            assert all(len(values) == 1 for values in row.values() if isinstance(values, list))
            assert 0 <= row["linear_probe"][0] <= 100 and row["seconds_per_step"][0] > 0
        with patch.object(study_zoo, "measured", side_effect=AssertionError):
            study_zoo.main(config, models=models)  # nothing is left
        assert (tmp_path / "zoo.json").read_bytes() == written
        with pytest.raises(ValueError, match=r"settings\.json is of other settings"):
            study_zoo.main(replace(config, finetune_epochs=2), models=models)
        (tmp_path / "runs/settings.json").unlink()
        with pytest.raises(ValueError, match=r"zoo\.json is of other settings"):
            study_zoo.main(replace(config, finetune_epochs=2), models=models)


def test_seconds_and_probes_of_a_curve_are_those_of_the_steps_before(tmp_path: Path) -> None:
    rows = [
        {"step": 0, "epoch": 0, **dict.fromkeys(POINTS, 8.0)},
        {"step": 1, "epoch": 0.5, "loss": 2.0, "cpu_s": 1.5, "samples_per_s": 8.0},
        {"step": 2, "epoch": 1, "loss": 2.0, "cpu_s": 2.5, "samples_per_s": 4.0},
        {"step": 2, "epoch": 1, **dict.fromkeys(POINTS, 30.0)},
    ]
    head = list(dict.fromkeys(name for row in rows for name in row))
    lines = [",".join(str(row.get(name, "")) for name in head) for row in rows]
    (tmp_path / "metrics.csv").write_text("\n".join([",".join(head), *lines]) + "\n")
    first, last = study_decoders.curve(tmp_path)
    assert (first["cpu_s"], first["wall_s"], first["nn_fusion"]) == (0, 0, 8)
    assert (last["cpu_s"], last["wall_s"], last["nn_fusion"]) == (4, 6, 30)  # batches of 16


def test_what_never_gets_there_says_so() -> None:
    full = {"cpu_s": [[0, 10], [0, 30]], "nn_fusion": [[0, 50], [0, 70]]}
    slower = {"cpu_s": [[0, 9]], "nn_fusion": [[0, 59]]}
    found = study_decoders.reached({"full": full, "reading all": slower})
    assert found["full"] == {"cpu_s": 20, "share": 1}
    assert found["reading all"] == {"cpu_s": None, "share": None}


def test_figures_of_composed_scenes_are_written_by_task(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A later study of one task, or without a lever, keeps the figures of the others."""
    made: list[str] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[bytes]:
        folder = Path(command[command.index("--run.dir") + 1])
        made.append(str(folder.relative_to(tmp_path / "runs")))
        scores: dict = {}
        for figures in study_ingredients.FIGURES.values():
            for name, *keys, last in figures.values():
                inner = scores
                for key in keys if name == folder.name else ():
                    inner = inner.setdefault(key, {})
                inner[last] = float(len(command))
        (folder / "scores.json").write_text(json.dumps({"scores": scores}))
        (folder / "reconstruction.png").write_bytes(b"")
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(_study.subprocess, "run", run)
    monkeypatch.setattr(study_ingredients, "test_set", lambda data: None)
    settings = {"run": Folder(dir=tmp_path / "runs"), "root": tmp_path, "out": tmp_path, "jobs": 1}
    config = study_ingredients.Config(**settings, seeds=2, noisy=tmp_path / "noisy")
    with pytest.raises(ValueError, match=r"--noisy .*noisy is no folder: make it with"):
        study_ingredients.main(config)
    (tmp_path / "noisy").mkdir()
    study_ingredients.main(config)
    assert len(made) == 22
    command = (tmp_path / "runs/seed-1/noisy-audio/command.txt").read_text()
    assert f"--data.root {tmp_path}/noisy " in command and "--given audio" in command
    found = json.loads((tmp_path / "ingredients.json").read_text())
    assert {task: set(found[task]) for task in study_ingredients.FIGURES} == {
        task: set(figures) for task, figures in study_ingredients.FIGURES.items()
    }
    assert all(
        len(values) == 2 for task in study_ingredients.FIGURES for values in found[task].values()
    )
    study_ingredients.main(replace(config, seeds=1, only=("probe",), without=("contrast",)))
    assert made[22:] == [
        f"without-contrast/{n}" for n in ("pretrain", "probe", "probe-image", "probe-audio")
    ]
    after = json.loads((tmp_path / "ingredients.json").read_text())
    assert after["finetune"] == found["finetune"] and len(after["probe"]["both"]) == 1
    command = (tmp_path / "runs/without-contrast/pretrain/command.txt").read_text()
    assert "--contrast 0" in command and set(after["without"]) == {"contrast"}
    with pytest.raises(ValueError, match="--without must be of contrast"):
        study_ingredients.main(replace(config, without=("luck",)))
    with pytest.raises(ValueError, match="give --noisy SCENES for probe_noisy"):
        study_ingredients.main(replace(config, noisy=None, only=("probe_noisy",)))
    study_ingredients.main(replace(config, noisy=None, run=Folder(dir=tmp_path / "runs/less")))
    assert not [name for name in made if name.startswith("less") and "noisy" in name]
    study_ingredients.main(replace(config, first_seed=4, seeds=1, only=("probe",)))
    command = (tmp_path / "runs/seed-4/pretrain/command.txt").read_text()
    assert "--run.seed 4 " in command
    with pytest.raises(ValueError, match="give --root SCENES"):
        study_ingredients.main(replace(config, root=None))


@pytest.mark.parametrize("lever", study_ingredients.LEVERS)
def test_a_pretraining_can_do_without_each_lever(lever: str, tmp_path: Path) -> None:
    found: list[Any] = []
    words = ["composed", *study_ingredients.LEVERS[lever], "--run.dir", str(tmp_path)]
    run_cli(found.append, presets=paper_pretrain.PRESETS, doc="", args=words)
    found[0].check()
    assert found[0] != replace(paper_pretrain.COMPOSED, run=found[0].run)
