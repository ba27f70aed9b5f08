"""`zoo.load` on checkpoints of runs: what the tensors do not say is in the run's configuration."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_model import TINY
from torch.testing import assert_close
from toy_runs import ToyRun, toy_config

from avblocks import zoo
from avblocks.zoo.ours import run_sizes
from recipes import paper_pretrain
from recipes.common.runs import load_encoder_run


def assert_same_tokens(checkpoint: Path, folder: Path) -> None:
    """Compare the encoder of the door with that of the run."""
    found = zoo.load(checkpoint)
    encoder, front_end = load_encoder_run(folder)
    assert found.kind == "avblocks"
    _, height, width = 3, *front_end.format.image_size
    inputs: dict[str, Any] = {"image": torch.rand(1, 3, height, width)}
    inputs["audio"] = torch.rand(1, 1, *front_end.format.audio_size)
    with torch.no_grad():
        ours, theirs = found.encoder(**inputs), encoder.eval()(**inputs)
    for name in ("image", "audio", "fusion"):
        assert_close(getattr(ours, name), getattr(theirs, name))


@pytest.mark.parametrize("name", ["pretrain", "finetune"])
def test_a_checkpoint_of_a_run(name: str, toy_run: Callable[[str], ToyRun]) -> None:
    """With the default hop, which `config.json` has as null."""
    folder = toy_run(name).folder
    assert_same_tokens(next((folder / "checkpoints").glob("*.ckpt")), folder)


def test_bottlenecks_have_no_tensors_and_are_found(toy_scenes: Path, tmp_path: Path) -> None:
    config = toy_config("pretrain", toy_scenes, tmp_path, max_steps=1)
    model = replace(TINY, fusion="bottleneck", fusion_layers=(1,), num_tokens=(3, 0, 0))
    paper_pretrain.main(replace(config, model=model))
    checkpoint = next((tmp_path / "checkpoints").glob("*.ckpt"))
    assert_same_tokens(checkpoint, tmp_path)
    assert list(zoo.load(checkpoint).encoder.fusion_blocks) == ["1"]


def test_the_hop_follows_the_rate(tmp_path: Path) -> None:
    """64 frames per second, where `config.json` has no hop."""
    data = {"size": 16, "mels": 32, "seconds": 2.0, "rate": 8000, "hop": None}
    model = {"heads": 1, "num_tokens": [2, 1, 1], "fusion": "dense", "fusion_layers": "all"}
    text = json.dumps({"config": {"data": data, "model": model}})
    (tmp_path / "config.json").write_text(text)
    known = run_sizes(tmp_path / "checkpoints/step-00000001.ckpt")
    assert known["audio_size"] == (32, 128) and known["image_size"] == (16, 16)
