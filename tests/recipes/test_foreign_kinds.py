"""Every kind of the zoo as the encoder of every recipe: it encodes, or a line says why not."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from toy_runs import RECIPES, toy_config

from avblocks import zoo
from avblocks.checkpoint import LoadReport, save_pretrained
from recipes.common import foreign, start
from recipes.common.foreign import load_foreign

ONE: dict[str, Any] = {"depth": 2, "num_heads": 1}
BOTH: dict[str, Any] = {"image_size": 16, "audio_size": (32, 32), "patch": 8, "num_heads": 1}
CLIP = {"image_size": (1, 16, 16), "audio_size": (32, 32), "patch": (1, 8, 8), "num_heads": 1}
DECODER = {"decoder_dim": 32, "decoder_depth": 1, "decoder_heads": 2}
TUBES: dict[str, Any] = {"size": (2, 16, 16), "patch": (2, 8, 8)}
KINDS: dict[str, Callable[[], nn.Module]] = {
    "cavmae": lambda: zoo.cavmae(64, depth=1, **BOTH, **DECODER),
    "cavmae_sync": lambda: zoo.cavmae_sync_encoder(64, depth=1, **BOTH),
    "mbt": lambda: zoo.mbt(64, depth=2, fusion_layer=1, num_classes=3, **CLIP),
    "mae": lambda: zoo.mae(64, size=16, patch=8, **ONE),
    "audiomae": lambda: zoo.mae(64, size=(32, 32), patch=8, channels=1, **ONE),
    "crossmae": lambda: zoo.crossmae(64, depth=1, num_heads=1, size=16, patch=8),
    "dinov2": lambda: zoo.dinov2(64, size=28, **ONE),
    "ast": lambda: zoo.ast(64, size=(32, 32), patch=8, stride=5, **ONE),
    "deit": lambda: zoo.ast(64, size=16, patch=8, stride=8, channels=3, **ONE),
    "eat": lambda: zoo.eat(64, size=(32, 32), patch=8, **ONE),
    "videomae": lambda: zoo.videomae(64, **TUBES, **ONE),
}
NO_IMAGE = dict.fromkeys(("localize", "segment"), "makes maps of the image")
NO_AUDIO = {"separate": "makes maps of the audio"}
NO_MAPS = dict.fromkeys(("localize", "segment", "separate"), "reads one image: give another")
VIDEOS = dict.fromkeys(("probe", "finetune"), r"reads videos: pass --data\.frames")
FOURTEEN = r"patches are \(14, 14\), and \(16, 16\) is no multiple of them: pass --data\.size"
REFUSED: dict[str, dict[str, str]] = {
    "mbt": VIDEOS | NO_MAPS,
    "videomae": VIDEOS | NO_MAPS | NO_AUDIO,
    "mae": NO_AUDIO,
    "deit": NO_AUDIO,
    "crossmae": NO_AUDIO,
    "audiomae": NO_IMAGE | {"separate": "makes maps of the image"},
    "ast": NO_IMAGE | {"separate": "makes maps of the image"},
    "eat": NO_IMAGE | {"separate": "makes maps of the image"},
    "dinov2": dict.fromkeys(("probe", "finetune", "localize", "segment"), FOURTEEN) | NO_AUDIO,
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_in_every_recipe(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = KINDS[kind]().eval()
    loaded = zoo.Loaded(kind, model, LoadReport(tuple(model.state_dict())))
    monkeypatch.setattr(foreign.zoo, "load", lambda path, allow: loaded)
    monkeypatch.setattr(start, "is_foreign", lambda path: True)
    (tmp_path / "file.pth").touch()
    for recipe in ("probe", "finetune", "localize", "segment", "separate"):
        config = toy_config(recipe, tmp_path, tmp_path, max_steps=1)
        sizes = replace(config.model, dim=64, heads=1)
        config = replace(config, model=sizes, checkpoint=tmp_path / "file.pth")
        build = RECIPES[recipe][0].build
        refused = REFUSED.get(kind, {}).get(recipe)
        if refused is not None:
            with pytest.raises(ValueError, match=refused) as info:
                build(config, classes=("a", "b"))
            assert "\n" not in str(info.value)
            continue
        encoder = build(config, classes=("a", "b")).encoder
        assert not load_foreign(encoder, config.checkpoint).unused
        image = torch.rand(1, 3, *config.data.format.image_size)
        out = encoder(image=image, audio=torch.rand(1, 1, *config.data.audio_size))
        assert out.image.shape[2] == out.audio.shape[2] == 64


@pytest.mark.parametrize("kind", sorted({*KINDS} - {"crossmae"}))
def test_an_encoder_is_exported(kind: str, tmp_path: Path) -> None:
    model: Any = KINDS[kind]()
    encoder = getattr(model, "encoder", model)
    save_pretrained(encoder, tmp_path)
    found = zoo.load(tmp_path)
    assert found.kind == {"audiomae": "mae"}.get(kind, kind)
    held, wanted = found.model.state_dict(), encoder.state_dict()
    assert held.keys() == wanted.keys()
    assert all(torch.equal(held[name], value) for name, value in wanted.items())
