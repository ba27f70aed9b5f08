"""EAT's whole encoder, against a slow one in its authors' layout: frames down, mel bins across."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import slow
import torch
from joint import joint
from slow import randomize
from torch import Tensor, nn
from torch.testing import assert_close

from avblocks.zoo import eat, eat_sizes, from_eat, load

MELS, FRAMES, DIM = 2, 3, 64  # patches down and across, and the width


def file_of(model: nn.Module, *, own: int = 0) -> dict[str, Tensor]:
    """The names of a pre-trained file, ``own`` blocks being the modality's."""
    file = {
        "_ema.blocks": torch.zeros(1),
        "modality_encoders.IMAGE.decoder.proj.bias": torch.zeros(1),
    }
    image = "modality_encoders.IMAGE."
    for name, value in joint(model.state_dict()).items():
        if name.startswith("blocks."):
            _, number, rest = name.split(".", 2)
            place = (
                f"{image}context_encoder.blocks.{number}"
                if int(number) < own
                else f"blocks.{int(number) - own}"
            )
            file[f"{place}.{rest}"] = value
        elif name.startswith("norm_pre."):
            file[f"{image}context_encoder.norm.{name.removeprefix('norm_pre.')}"] = value
        elif name == "prefix_tokens":
            file[f"{image}extra_tokens"] = value
        else:
            file[f"{image}local_encoder.proj.{name.rpartition('.')[2]}"] = value
    return file | {f"{image}fixed_positional_encoder.positions": torch.zeros(1, 6, DIM)}


def their_positions() -> Tensor:
    """MAE's table of a grid of frames by mel bins: columns first, which are the mel bins here."""
    omega = 1 / 10000 ** (np.arange(DIM // 4) / (DIM / 4))
    rows = []
    for frame in range(FRAMES):
        for mel in range(MELS):
            waves = [f(at * omega) for at in (mel, frame) for f in (np.sin, np.cos)]
            rows.append(np.concatenate(waves))
    return torch.tensor(np.stack(rows)).float()


def their_tokens(file: dict[str, Tensor], model: nn.Module, audio: Tensor) -> Tensor:
    """Tokens of spectrograms (b, 1, frames, mels): the class token, then frame by frame."""
    image = "modality_encoders.IMAGE."
    weight, bias = (file[f"{image}local_encoder.proj.{kind}"] for kind in ("weight", "bias"))
    patches = torch.nn.functional.conv2d(audio, weight, bias, stride=16).flatten(2).transpose(1, 2)
    x = torch.cat(
        (file[f"{image}extra_tokens"].expand(2, -1, -1), patches + their_positions()), dim=1
    )
    x = slow.layer_norm(model.norm_pre, x)
    for block in model.blocks:
        x = slow.layer_norm(block.norm1, x + slow.self_attention(block.attn, x))
        x = slow.layer_norm(block.norm2, x + slow.mlp(block.mlp, x))
    return x


@pytest.mark.parametrize("own", [0, 1])
def test_the_whole_encoder(own: int) -> None:
    size = (16 * MELS, 16 * FRAMES)
    source = randomize(eat(DIM, depth=3, num_heads=1, size=size, mlp_ratio=2.0)).float()
    file = file_of(source, own=own)
    model = eat(**eat_sizes(file, size=size)).eval()
    model.load_state_dict(from_eat(file))
    audio = torch.randn(2, 1, *size)
    with torch.no_grad():
        ours = model(audio)
        theirs = their_tokens(file, model, audio.transpose(2, 3))
    patches = theirs[:, 1:].unflatten(1, (FRAMES, MELS)).transpose(1, 2).flatten(1, 2)
    assert_close(ours, torch.cat((theirs[:, :1], patches), dim=1), rtol=1e-4, atol=1e-5)


def test_other_lengths_have_their_own_positions() -> None:
    model = eat(DIM, depth=1, num_heads=1, size=(32, 48))
    longer = model.pos_embed((MELS, 5)).unflatten(0, (MELS, 5))
    assert_close(longer[:, :FRAMES], model.pos_embed((MELS, FRAMES)).unflatten(0, (MELS, FRAMES)))


def test_position_biases_are_refused() -> None:
    file = file_of(eat(DIM, depth=1, num_heads=1, size=(32, 48)))
    with pytest.raises(ValueError, match="without position biases"):
        from_eat(file | {"modality_encoders.IMAGE.alibi_scale": torch.ones(1)})


def fairseq_file(state: dict[str, Tensor], cfg: object) -> dict[str, Any]:
    """What fairseq saves: the settings, the averaged weights within the model, and more."""
    return {
        "args": None,
        "cfg": cfg,
        "model": state | {"_ema": {name: x + 1 for name, x in state.items()}},
        "criterion": None,
        "optimizer_history": [{"num_updates": 7, "optimizer_name": "CompositeOptimizer"}],
        "task_state": {},
        "extra_state": {"val_loss": 0.5, "train_iterator": {"epoch": 2}},
        "last_optimizer_state": {"state": {0: {"exp_avg": torch.zeros(2)}}},
    }


def test_eat_as_fairseq_saves_it(tmp_path: Path) -> None:
    model = eat(64, depth=2, num_heads=1, size=(32, 64)).eval()
    cfg = {"model": {"_name": "data2vec_multi", "depth": 2}, "task": {"data": "/d", "seed": None}}
    state = file_of(model)
    kernel = "modality_encoders.IMAGE.local_encoder.proj.weight"
    state[kernel] = state[kernel].transpose(2, 3)  # theirs is over frames and mel bins
    torch.save(fairseq_file(state, cfg), tmp_path / "eat.pt")
    loaded = load(tmp_path / "eat.pt")
    assert loaded.kind == "eat" and loaded.report.missing == loaded.report.unused == ()
    audio = torch.rand(2, 1, 32, 64)
    with torch.no_grad():
        assert_close(loaded.model(audio), model(audio))


def test_settings_that_are_objects_are_refused_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Older fairseq keeps omegaconf's objects, which only code can read."""
    kind = type("DictConfig", (), {"__module__": "omegaconf"})
    module = ModuleType("omegaconf")
    vars(module)["DictConfig"] = kind
    state = file_of(eat(64, depth=1, num_heads=1, size=(32, 64)))
    with monkeypatch.context() as patched:
        patched.setitem(sys.modules, "omegaconf", module)
        torch.save(fairseq_file(state, kind()), tmp_path / "eat.pt")
    with pytest.raises(ValueError, match=r"eat.pt: .*omegaconf.*where you trust it") as info:
        load(tmp_path / "eat.pt")
    assert "save_file" in str(info.value) and "\n" not in str(info.value)
