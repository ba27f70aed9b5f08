"""Sizes come from the checkpoint: nobody types those of another run again."""

import importlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from published import mae_state
from safetensors.torch import save_file
from tiny_model import TINY
from toy_runs import DATA, ToyRun

from avblocks import av_vit
from avblocks.checkpoint import saves
from recipes import (
    export,
    paper_finetune,
    paper_linear_probe,
    paper_localize,
    paper_pretrain,
    paper_segment,
    paper_separate,
)
from recipes.common.cli import run_cli
from recipes.common.data import FREE
from recipes.common.model import SMALL
from recipes.common.runs import rebuild_config
from recipes.common.sizes import CLIPS, ENCODER
from recipes.engine.folder import plain
from recipes.engine.resuming import ADDED, flat


def parsed(module: Any, *words: object) -> Any:
    """The configuration that a command results in."""
    found: list[Any] = []
    run_cli(found.append, presets=module.PRESETS, doc="", args=[str(word) for word in words])
    return found[0]


def assert_sizes(config: Any, **changed: object) -> None:
    """Compare the sizes with those of the toy run, except changed ones."""
    for part, names, wanted in (("model", ENCODER, TINY), ("data", CLIPS, DATA)):
        for name in names:
            value = changed.get(f"{part}_{name}", getattr(wanted, name))
            assert getattr(getattr(config, part), name) == value, name


@pytest.fixture(scope="module")
def pretrained(toy_run: Callable[[str], ToyRun]) -> Path:
    return toy_run("pretrain").folder


def test_of_a_run(pretrained: Path) -> None:
    (checkpoint,) = (pretrained / "checkpoints").glob("*.ckpt")
    for path in (pretrained, checkpoint):
        config = parsed(paper_linear_probe, "vggsound", "--checkpoint", path)
        assert_sizes(config)
        assert config.data.name == "vggsound" and config.batch == paper_linear_probe.VGGSOUND.batch


def test_of_an_export(pretrained: Path, tmp_path: Path) -> None:
    export.main(export.Config(checkpoint=pretrained, out=tmp_path / "out"))
    config = parsed(paper_finetune, "--checkpoint", tmp_path / "out")
    wanted = {"data_hop": DATA.rate // 64, "model_fusion_layers": config.model.fusion_layers}
    assert_sizes(config, **wanted)
    assert config.model.fusion_layers in ("all", tuple(range(TINY.depth)))


def test_typed_ones_are_kept(pretrained: Path) -> None:
    config = parsed(paper_finetune, "--checkpoint", pretrained, "--data.size=32", "--model.dim", 16)
    assert_sizes(config, data_size=32)


def test_other_sizes_of_the_model_are_an_error(
    pretrained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parsed(paper_finetune, "--checkpoint", pretrained, "--model.heads", 4)
    words = f"an encoder of other sizes: pass --model.heads {TINY.heads}, or none of these"
    file = saves.latest(pretrained / "checkpoints")
    assert capsys.readouterr().err == f"error: {file}: it holds {words}\n"


def test_other_sizes_of_a_resumed_run_are_an_error(
    toy_run: Callable[[str], ToyRun], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = toy_run("probe").folder
    with pytest.raises(SystemExit):
        parsed(paper_linear_probe, "--run.dir", folder, "--run.resume", "--model.heads", 4)
    assert capsys.readouterr().err.startswith(f"error: {folder / 'config.json'}: it holds an enc")


def test_a_resumed_run_takes_its_own(
    toy_run: Callable[[str], ToyRun], tmp_path: Path, pretrained: Path
) -> None:
    folder = Path(shutil.copytree(toy_run("probe").folder, tmp_path / "run"))
    gone = ("--checkpoint", tmp_path / "gone", "--run.dir", folder)
    assert_sizes(parsed(paper_linear_probe, *gone, "--run.resume"))
    with pytest.raises(SystemExit):
        parsed(paper_linear_probe, *gone)


def test_without_a_checkpoint_they_are_the_presets() -> None:
    assert parsed(paper_finetune, "--checkpoint", "None").model == SMALL


def test_of_a_published_file(tmp_path: Path) -> None:
    numbers = {"image_size": 32, "audio_size": (32, 32), "fusion_layers": (1,)}
    encoder = av_vit(192, depth=2, num_heads=3, patch=16, **numbers)
    torch.save(encoder.state_dict(), tmp_path / "file.pth")
    config = parsed(paper_finetune, "--checkpoint", tmp_path / "file.pth")
    sizes = {"dim": 192, "depth": 2, "heads": 3, "patch": 16, "num_tokens": (16, 8, 8)}
    assert {name: getattr(config.model, name) for name in sizes} == sizes
    assert config.model.fusion_layers == (1,) and config.data == paper_finetune.SCENES.data


def test_heads_that_fit_are_kept(tmp_path: Path) -> None:
    """They are in no tensor: of the preset's width, those of the preset are as likely."""
    model = replace(SMALL, num_tokens=(8, 4, 4))
    encoder = av_vit(
        model.dim, depth=4, num_heads=4, patch=8, image_size=64, audio_size=(64, 64),
        num_tokens=model.num_tokens,
    )  # fmt: skip
    torch.save(encoder.state_dict(), tmp_path / "file.pth")
    assert parsed(paper_finetune, "--checkpoint", tmp_path / "file.pth").model == SMALL


def test_heads_of_a_folder_of_transformers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its configuration states them, also for a model as wide as the preset's."""
    state = mae_state(channels=3, patches=64, dim=SMALL.dim, patch=8)
    save_file(state, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text('{"num_attention_heads": 2, "image_size": 64}')
    assert parsed(paper_finetune, "--checkpoint", tmp_path).model.heads == 2
    assert parsed(paper_pretrain, "--image-weights", tmp_path).model.heads == 2
    with pytest.raises(SystemExit):
        parsed(paper_finetune, "--checkpoint", tmp_path, "--model.heads", "4")
    assert "other sizes: pass --model.heads 2, or none" in capsys.readouterr().err


def test_of_the_weights_of_one_modality(tmp_path: Path) -> None:
    state = {"cls_token": torch.zeros(1, 1, 192), "pos_embed": torch.zeros(1, 197, 192)}
    state |= {"patch_embed.proj.weight": torch.zeros(192, 3, 16, 16)}
    for block in range(3):
        state |= {
            f"blocks.{block}.attn.qkv.weight": torch.zeros(576, 192),
            f"blocks.{block}.norm1.weight": torch.zeros(192),
            f"blocks.{block}.mlp.fc1.weight": torch.zeros(768, 192),
            f"blocks.{block}.mlp.fc2.weight": torch.zeros(192, 768),
        }
    state |= {"decoder_pos_embed": torch.zeros(1, 197, 64), "mask_token": torch.zeros(1, 1, 64)}
    state |= {"norm.weight": torch.zeros(192), "norm.bias": torch.zeros(192)}
    torch.save({"model": state}, tmp_path / "mae.pth")
    config = parsed(
        paper_pretrain, "folder", "--data.root", ".", "--image-weights", tmp_path / "mae.pth"
    )
    assert (config.model.dim, config.model.depth, config.model.heads) == (192, 3, 3)


GOLDEN = Path(__file__).parents[1] / "golden/settings.json"
"""Settings of the recipes in a landed state: runs of it must be usable."""


@pytest.mark.parametrize("recipe", json.loads(GOLDEN.read_text()))
def test_settings_added_since_have_a_value_for_earlier_runs(recipe: str) -> None:
    module = importlib.import_module(f"recipes.{recipe}")
    values = flat(plain(module.PRESETS["scenes"][1]))
    before = json.loads(GOLDEN.read_text())[recipe]
    added = {n for n in values if n not in before and not n.startswith("run.")} - set(FREE)
    assert {name: values[name] for name in added} == {name: ADDED.get(name) for name in added}
    rebuild_config(module.Config, nested({n: x for n, x in values.items() if n in before}))


def nested(values: dict) -> dict:
    """Undo `flat`."""
    found: dict = {}
    for name, value in values.items():
        *parts, last = name.split(".")
        inner = found
        for part in parts:
            inner = inner.setdefault(part, {})
        inner[last] = value
    return found


@pytest.mark.parametrize("name", ["scenes", "composed"])
@pytest.mark.parametrize(
    "recipe",
    [paper_finetune, paper_linear_probe, paper_localize, paper_segment, paper_separate],
)
def test_the_model_of_a_preset_can_be_built(recipe: Any, name: str) -> None:
    """Windows that do not overlap were found when a run began."""
    config = recipe.PRESETS[name][1]
    task = recipe.build(replace(config, checkpoint=None), classes=("a", "b"))
    assert task.front_end.format == config.data.format


def test_windows_of_a_checkpoint_that_do_not_overlap(tmp_path: Path) -> None:
    config = paper_separate.PRESETS["composed"][1]
    config = replace(config, run=replace(config.run, dir=tmp_path))
    config.check(compiles=False)
    longer = replace(config, data=replace(config.data, hop=500, seconds=2.0))
    with pytest.raises(
        ValueError, match=r"give --data.hop 400, and --data.seconds 1.6 for as many"
    ):
        longer.check(compiles=False)
