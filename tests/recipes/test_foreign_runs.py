"""Runs that start from a published encoder are whole without its file."""

import json
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from published import cavmae_state, mae_state
from safetensors.torch import save_file
from torch import Tensor
from toy_runs import RECIPES, toy_config

from avblocks import AVEncoder, zoo
from avblocks.checkpoint import from_pretrained, from_run, load_weights
from recipes import export
from recipes.common.runs import load_encoder_run, open_saved
from recipes.common.sizes import sizes_of
from recipes.common.start import start_encoder
from recipes.common.tested import load_tested
from recipes.predict.trained import load_trained

REMEDY = "give a run"


def folder_of(kind: str, folder: Path) -> Path:
    """A folder of transformers whose heads and epsilon are in no tensor, or a file of CAV-MAE."""
    torch.manual_seed(0)
    folder.mkdir()
    if kind == "cavmae":
        save_file(cavmae_state(), folder / "cavmae.safetensors")
        return folder / "cavmae.safetensors"
    save_file(mae_state(channels=1, patches=64, dim=64, patch=8), folder / "model.safetensors")
    config = {"model_type": "vit", "num_attention_heads": 4, "layer_norm_eps": 0.1}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_a_folder_of_transformers_has_no_head(tmp_path: Path) -> None:
    given = folder_of("transformers", tmp_path / "hf")
    message = "is in no run folder: give a run folder of paper_finetune"
    for use in (load_trained, partial(load_tested, recipe=None, data={}, sizes={})):
        with pytest.raises(ValueError, match=message):
            use(given)
    (given / "config.json").write_text("{")
    with pytest.raises(ValueError, match=r"config.json is missing, damaged"):
        load_trained(given)


def config_of(checkpoint: Path, root: Path, folder: Path, *, given: str) -> Any:
    config = toy_config("probe", root, folder, max_steps=2)
    model = replace(config.model, dim=64, heads=1)
    return replace(config, model=model, checkpoint=checkpoint, given=given)


def audio_tokens(encoder: AVEncoder, audio: Tensor) -> Tensor:
    with torch.no_grad():
        tokens = encoder.eval()(image=None, audio=audio).audio
    assert tokens is not None
    return tokens


@pytest.mark.parametrize("kind", ["transformers", "cavmae"])
def test_a_run_needs_the_file_only_to_start(kind: str, toy_scenes: Path, tmp_path: Path) -> None:
    given, run = folder_of(kind, tmp_path / "given"), tmp_path / "run"
    config = config_of(given, toy_scenes, run, given="audio")
    RECIPES["probe"][0].main(config)
    saved, audio = open_saved(run, remedy=REMEDY), torch.rand(2, 1, 64, 64)
    built = RECIPES["probe"][0].build(config, classes=saved.run_config["classes"])
    load_weights(built, from_run(saved.weights, part=""), strict=True)
    wanted = audio_tokens(built.encoder, audio)
    shutil.rmtree(tmp_path / "given")

    export.main(export.Config(checkpoint=run, out=tmp_path / "whole"))
    encoders = {
        "task": saved.task()[0].encoder,
        "run": load_encoder_run(run)[0],
        "load": zoo.load(saved.path).encoder,
        "export": from_pretrained(tmp_path / "whole").encoder,
    }
    for name, encoder in encoders.items():
        assert torch.equal(audio_tokens(encoder, audio), wanted), name

    following = toy_config("finetune", toy_scenes, tmp_path / "next", max_steps=1)
    for checkpoint in (run, tmp_path / "whole"):
        tuning = replace(following, model=config.model, checkpoint=checkpoint)
        tuned = RECIPES["finetune"][0].build(tuning, classes=("a", "b")).encoder
        start_encoder(tuned, tuning)
        assert torch.equal(audio_tokens(tuned, audio), wanted)
    known = sizes_of(tmp_path / "whole")
    assert known is not None and known.model == {"dim": 64, "heads": 1}

    more = replace(config.run, resume=True, max_steps=4)
    RECIPES["probe"][0].main(replace(config, run=more))
    assert open_saved(run, remedy=REMEDY).step == 4
    assert torch.equal(audio_tokens(load_encoder_run(run)[0], audio), wanted)
