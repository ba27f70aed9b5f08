"""recipes.evaluate: the scores of a run again, of runs, exports and published files."""

import importlib
import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from command_lines import command
from toy_runs import SMALL, ToyRun, short_filters, train

import recipes.evaluate
import recipes.export
from avblocks.checkpoint.report import Converted
from recipes.common.data import Data
from recipes.common.evaluation import evaluated
from recipes.common.tested import CONVERT

evaluate, export = command(recipes.evaluate), command(recipes.export)

NAMES = ("finetune", "probe", "localize", "segment", "semantic", "separate")


def scores(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "scores.json").read_text())


@pytest.fixture(scope="module")
def finished(toy_scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], ToyRun]:
    """Runs that have come to their end, and so to their test."""
    runs: dict[str, ToyRun] = {}

    def run(name: str) -> ToyRun:
        if name not in runs:
            with short_filters():
                folder = tmp_path_factory.mktemp(name)
                runs[name] = train(name, toy_scenes, folder, max_steps=None)
        return runs[name]

    return run


@pytest.mark.parametrize("name", NAMES)
def test_a_run_has_exactly_its_scores(
    name: str, finished: Callable[[str], ToyRun], tmp_path: Path
) -> None:
    run = finished(name)
    before = {path: path.stat().st_mtime_ns for path in run.folder.rglob("*")}
    with short_filters():
        evaluate([str(run.folder), "--out", str(tmp_path)])
    assert scores(tmp_path) == scores(run.folder)
    assert scores(tmp_path)["scores"] and evaluated() is None
    assert before == {path: path.stat().st_mtime_ns for path in run.folder.rglob("*")}
    figures = {path.name for path in run.folder.glob("*.png")} - {"loss.png"}
    assert figures <= {path.name for path in tmp_path.glob("*.png")}


@pytest.mark.parametrize("name", NAMES)
def test_an_export_has_the_scores_of_its_run(
    name: str, finished: Callable[[str], ToyRun], tmp_path: Path
) -> None:
    run = finished(name)
    export(["--checkpoint", str(run.folder), "--out", str(tmp_path / "export")])
    data = run.config.data
    words = ["--data.name", data.name, "--data.root", str(data.root), "--data.workers", "0"]
    words += ["--batch", str(run.config.batch), "--windows", "1", "--out", str(tmp_path / "out")]
    with short_filters():
        evaluate([str(tmp_path / "export"), *words])
    assert scores(tmp_path / "out") == scores(run.folder)


def test_controls(finished: Callable[[str], ToyRun], tmp_path: Path) -> None:
    run = finished("probe")
    evaluate([str(run.folder), "--out", str(tmp_path), "--controls"])
    random, shuffled = (scores(tmp_path / name) for name in ("random_encoder", "shuffled_labels"))
    assert scores(tmp_path) == scores(run.folder)
    assert random != scores(run.folder) and shuffled != scores(run.folder)
    assert random["scores"].keys() == shuffled["scores"].keys()


def test_the_training_clips_are_not_needed(
    finished: Callable[[str], ToyRun], toy_scenes: Path, tmp_path: Path
) -> None:
    run = finished("finetune")
    root = tmp_path / "data"
    shutil.copytree(toy_scenes, root)
    table = (root / "vggsound.csv").read_text().splitlines()
    videos = {line.split(",")[0] for line in table if line.endswith(",train")}
    lost = [path for path in root.rglob("*.mp4") if path.name[:11] in videos]
    assert len(lost) == 8
    for path in lost:
        path.unlink()
    evaluate([str(run.folder), "--out", str(tmp_path / "out"), "--data.root", str(root)])
    assert scores(tmp_path / "out") == scores(run.folder)


def test_a_list_of_test_clips(finished: Callable[[str], ToyRun], tmp_path: Path) -> None:
    run = finished("probe")
    table = (Path(run.config.data.root) / "vggsound.csv").read_text().splitlines()
    rows = [line.split(",") for line in table if line.endswith(",test")][:3]
    ids = dict.fromkeys(f"{row[0]}_{int(row[1]):06d}" for row in rows)
    (tmp_path / "few.csv").write_text("\n".join(ids) + "\n")
    words = ["--data.test-list", str(tmp_path / "few.csv"), "--out", str(tmp_path)]
    evaluate([str(run.folder), *words])
    assert scores(tmp_path)["clips"] == len(ids)


def test_a_published_file(
    finished: Callable[[str], ToyRun], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The names of published files have tests of their own; here they are those of the run."""
    run = finished("segment")
    module = importlib.import_module("recipes.paper_segment")
    assert run.model is not None
    torch.save(run.model.state_dict(), tmp_path / "published.pth")
    monkeypatch.setitem(CONVERT, "paper_segment", Converted)
    monkeypatch.setattr(module, "PRESETS", {"toy": ("", run.config)})
    monkeypatch.setattr("recipes.common.tested.Data", partial(Data, **SMALL))
    data = run.config.data
    words = ["--data.name", data.name, "--data.root", str(data.root), "--out", str(tmp_path)]
    evaluate([str(tmp_path / "published.pth"), "--recipe", "paper_segment", *words])
    assert scores(tmp_path) == scores(run.folder)


def test_another_evaluation_is_not_replaced(
    finished: Callable[[str], ToyRun], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(finished("probe").folder), "--out", str(tmp_path)]
    evaluate(words)
    first = scores(tmp_path)
    for more in (["--data.test-list", "few.csv"], ["--windows", "2"]):
        with pytest.raises(SystemExit):
            evaluate([*words, *more])
        error = capsys.readouterr().err
        assert "holds another evaluation (checkpoint " in error and "as --out" in error
    assert scores(tmp_path) == first
    evaluate([*words, "--data.workers", "0"])
    assert scores(tmp_path) == first


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "give a RUN"),
        (["nowhere"], "nowhere does not exist"),
        (["FILE"], "give --recipe, one of paper_linear_probe"),
        (["PRETRAIN"], "is a run of paper_pretrain, without a head"),
        (["RUN", "--data.name", "folder"], "has no test clips"),
    ],
)
def test_a_users_mistake_is_one_line(
    words: list[str],
    message: str,
    toy_run: Callable[[str], ToyRun],
    toy_scenes: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    torch.save({"a": torch.ones(1)}, tmp_path / "x.pth")
    places = {"FILE": str(tmp_path / "x.pth")}
    if words[:1] in (["PRETRAIN"], ["RUN"]):
        places |= {"PRETRAIN": str(toy_run("pretrain").folder), "RUN": str(toy_run("probe").folder)}
    given = [places.get(word, word) for word in words]
    with pytest.raises(SystemExit) as left:
        evaluate([*given, "--out", str(tmp_path)])
    assert left.value.code == 2 and message in capsys.readouterr().err
