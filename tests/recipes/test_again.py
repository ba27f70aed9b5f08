"""`--config FILE` takes the settings of a run back."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from toy_runs import ToyRun

from recipes import paper_finetune, paper_pretrain
from recipes.common.again import split_config
from recipes.common.cli import run_cli


def parsed(module: Any, *words: object) -> Any:
    found: list[Any] = []
    run_cli(found.append, presets=module.PRESETS, doc="", args=[str(word) for word in words])
    return found[0]


@pytest.mark.parametrize("name", ["pretrain", "finetune"])
def test_all_settings_come_back(name: str, toy_run: Callable[[str], ToyRun]) -> None:
    run = toy_run(name)
    module = {"pretrain": paper_pretrain, "finetune": paper_finetune}[name]
    for file in (run.folder / "config.json", run.folder):
        config = parsed(module, "--config", file)
        again = Path("runs") / f"{run.folder.name}-again"
        assert config == replace(run.config, run=replace(run.config.run, dir=again))


def test_options_change_some(toy_run: Callable[[str], ToyRun]) -> None:
    run = toy_run("pretrain")
    config = parsed(paper_pretrain, f"--config={run.folder}", "--batch", 3, "--run.dir", "x")
    assert config == replace(run.config, batch=3, run=replace(run.config.run, dir=Path("x")))


def test_what_cannot_be_taken_is_one_line(
    toy_run: Callable[[str], ToyRun], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(toy_run("pretrain").folder, tmp_path / "run"))
    text = (folder / "config.json").read_text()
    (tmp_path / "changed.json").write_text(text.replace('"batch": 4', '"batch": 5'))
    for module, words, message in (
        (paper_pretrain, ["--config"], "--config needs a FILE"),
        (paper_pretrain, ["--config", "--batch", "4"], "--config needs a FILE"),
        (paper_pretrain, ["--config", tmp_path / "none.json"], "no such file"),
        (paper_pretrain, ["--config", tmp_path / "changed.json"], "damaged, or changed by hand"),
        (paper_pretrain, ["scenes", "--config", folder], "give a preset, scenes, or --config"),
        (paper_finetune, ["--config", folder], "is of paper_pretrain, not of paper_finetune"),
    ):
        with pytest.raises(SystemExit) as left:
            parsed(module, *words)
        assert left.value.code == 2 and message in capsys.readouterr().err


def test_words() -> None:
    assert split_config(["a", "--config=x", "b"]) == (Path("x"), ["a", "b"])
    assert split_config(["a", "b"]) == (None, ["a", "b"])
