"""Files as their authors wrote them: wrapped, with settings and state beside the weights."""

import json
from argparse import Namespace
from pathlib import Path

import pytest
import torch
from origins import part
from safetensors import safe_open
from torch.testing import assert_close

from avblocks.zoo import load

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.mark.parametrize("fusion", ["token", "dense", "factorized"])
def test_deepavfusion_as_published(fusion: str, tmp_path: Path) -> None:
    """Of data parallel training, with the optimizer's state: tokens are the reference's."""
    with safe_open(GOLDEN / f"mae_{fusion}.safetensors", "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        config = json.loads(file.metadata()["config"])
    state = {f"module.{name}": x for name, x in part(tensors, "state.").items()}
    content = {"state_dict": state, "optimizer": {"state": {}}, "epoch": 199, "args": Namespace()}
    torch.save(content, tmp_path / "checkpoint_latest.pth")
    sizes = {"num_heads": config["heads"], "num_tokens": tuple(config["fusion_tokens"])}
    sizes |= {"image_size": tuple(config["image_size"]), "audio_size": tuple(config["audio_size"])}
    loaded = load(tmp_path / "checkpoint_latest.pth", **sizes)
    assert loaded.kind == "avblocks"
    with torch.no_grad():
        out = loaded.encoder(image=tensors["input.image"], audio=tensors["input.audio"])
    for name in ("image", "audio", "fusion"):
        wanted = tensors[f"full.{name}"]
        assert_close(getattr(out, name), wanted, rtol=1e-4, atol=1e-5)
