"""Studies: runs in their order, each once, refused where a folder holds something else."""

import subprocess
from pathlib import Path
from types import ModuleType

import pytest

from recipes.study import classification as study_classification
from recipes.study import lora as study_lora
from recipes.study import runs as _study
from recipes.study import tasks as study_tasks
from recipes.study.runs import Task, run_all


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


def test_a_folder_of_other_settings_is_refused(started: list[str], tmp_path: Path) -> None:
    run_all([Task(recipe="works", folder=tmp_path / "a", options=("--epochs", "2"))], jobs=1)
    with pytest.raises(ValueError, match="other settings"):
        run_all([Task(recipe="works", folder=tmp_path / "a")], jobs=1)


def test_a_failure_names_its_log_and_stops_what_comes_after(
    started: list[str], tmp_path: Path
) -> None:
    first = Task(recipe="fails", folder=tmp_path / "first")
    then = Task(recipe="works", folder=tmp_path / "then", after=first.folder)
    with pytest.raises(ValueError, match=r"code 2, see .*log\.txt: error: no such clip"):
        run_all([first, then], jobs=2)
    assert started == ["first"]


@pytest.mark.parametrize(
    ("study", "count"),
    [
        (study_classification, 2 * len(study_classification.FUSIONS) + 5),
        (study_tasks, 4),
        (study_lora, 4),
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
