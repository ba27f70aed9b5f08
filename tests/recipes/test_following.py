"""`next:` names a command that takes what the run has made."""

import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from recipes import paper_finetune, paper_linear_probe, paper_pretrain
from recipes.common.cli import _parse
from recipes.common.data import Data
from recipes.common.following import PROBES, next_command
from recipes.engine.run import Run

RUN = Run(dir=Path("runs/my run"))


@pytest.mark.parametrize("preset", paper_pretrain.PRESETS)
def test_a_probe_follows_pretraining(preset: str) -> None:
    config = replace(paper_pretrain.PRESETS[preset][1], run=RUN)
    words = shlex.split(next_command(config).partition("(")[0])
    assert words[:3] == ["python", "-m", "recipes.paper_linear_probe"]
    parsed = _parse(paper_linear_probe.PRESETS, doc="", words=words[3:])
    assert parsed.checkpoint == RUN.dir
    own = preset == "folder"  # without classes
    assert parsed.data.name == ("class_folder" if own else config.data.name)


def test_the_data_are_passed_on() -> None:
    config = replace(
        paper_pretrain.VGGSOUND, data=Data(name="vggsound", root=Path("/my data")), run=RUN
    )
    assert "vggsound --data.root '/my data' --checkpoint 'runs/my run'" in next_command(config)


def test_as_many_scenes() -> None:
    data = replace(paper_pretrain.SCENES.data, scenes=(24, 12))
    command = next_command(replace(paper_pretrain.SCENES, data=data, run=RUN))
    assert "paper_linear_probe scenes --data.scenes 24 12 --checkpoint" in command


def test_presets_exist() -> None:
    assert {*PROBES.values()} <= paper_linear_probe.PRESETS.keys()


def test_predictions_follow_a_head() -> None:
    wanted = "python -m recipes.predict FILE --checkpoint 'runs/my run'"
    assert next_command(replace(paper_finetune.SCENES, run=RUN)) == wanted
