"""Files as their authors wrote them: wrapped, with settings and state beside the weights."""

import json
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
import torch
from origins import part
from published import mae_state
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from slow import plain_vit
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


@pytest.mark.parametrize("name", ["backbone.", "encoder.", "model.", "net.", "net.backbone."])
def test_a_model_inside_a_model_of_ones_own(name: str, tmp_path: Path) -> None:
    """As Lightning saves a module whose attribute is the encoder, with or without other parts."""
    state, image = mae_state(channels=3, patches=4), torch.rand(2, 3, 32, 32)
    inside = {name + key: x for key, x in state.items()}
    torch.save({"state_dict": inside, "epoch": 3}, tmp_path / "mine.ckpt")
    both = inside | {"head.weight": torch.ones(2)}
    torch.save({"state_dict": both, "ema": inside}, tmp_path / "both.ckpt")
    known = {"key": "state_dict", "num_heads": 2}
    beside = load(tmp_path / "both.ckpt", prefix=name.removesuffix("."), **known)
    assert "head.weight" in beside.report.dropped
    start = name.split(".")[0]
    with pytest.raises(ValueError, match=rf"lacks 'cls_token'; .* with {start}\., head\."):
        load(tmp_path / "both.ckpt", **known)
    theirs = plain_vit(state, image, heads=2)
    for loaded in (load(tmp_path / "mine.ckpt", num_heads=2), beside):
        assert loaded.kind == "mae"
        with torch.no_grad():
            assert_close(loaded.model(image), theirs, rtol=1e-4, atol=1e-5)


def test_a_prefix_that_no_name_has(tmp_path: Path) -> None:
    torch.save(mae_state(channels=3, patches=4), tmp_path / "mae.pth")
    with pytest.raises(ValueError, match=r"no name begins with 'vit\.', as 'blocks\.0"):
        load(tmp_path / "mae.pth", prefix="vit.")


def of_transformers(folder: Path, **config: Any) -> dict[str, torch.Tensor]:
    """Write a folder as transformers does, of a model with four heads of width 4."""
    state = {name: x for name, x in mae_state(channels=3, patches=4).items() if "dec" not in name}
    folder.mkdir(exist_ok=True)
    save_file(state, folder / "model.safetensors")
    numbers = {"model_type": "vit", "num_attention_heads": 4, "layer_norm_eps": 0.1}
    (folder / "config.json").write_text(json.dumps(numbers | config))
    return state


@pytest.mark.parametrize("file", ["", "model.safetensors"])
def test_heads_and_epsilon_of_a_folder_of_transformers(file: str, tmp_path: Path) -> None:
    state, image = of_transformers(tmp_path / "hf"), torch.rand(2, 3, 32, 32)
    loaded = load(tmp_path / "hf" / file)
    theirs = plain_vit(state, image, heads=4, eps=0.1)
    with torch.no_grad():
        assert_close(loaded.model(image), theirs, rtol=1e-4, atol=1e-5)
    given = load(tmp_path / "hf" / file, num_heads=2).model  # what is given counts
    assert given.blocks[0].attn.num_heads == 2


def test_a_file_beside_the_configuration_of_another_model(tmp_path: Path) -> None:
    """As in a folder of downloads: only the names of transformers and timm belong to it."""
    of_transformers(tmp_path)
    (tmp_path / "model.safetensors").rename(tmp_path / "mine.safetensors")
    model = load(tmp_path / "mine.safetensors", num_heads=2).model
    assert model.blocks[0].norm1.eps == 1e-6


def test_the_grid_of_a_folder_of_transformers(tmp_path: Path) -> None:
    """4 x 1 patches are as many as 2 x 2."""
    state, image = of_transformers(tmp_path / "hf", image_size=[16, 64]), torch.rand(2, 3, 16, 64)
    with torch.no_grad():
        theirs = plain_vit(state, image, heads=4, eps=0.1)
        assert_close(load(tmp_path / "hf").model(image), theirs, rtol=1e-4, atol=1e-5)
    of_transformers(tmp_path / "hf", image_size=48)
    with pytest.raises(ValueError, match=r"positions must be the 9 of \(48, 48\), got 4"):
        load(tmp_path / "hf")


def test_the_epsilon_of_a_pretraining_model_of_transformers(tmp_path: Path) -> None:
    state = part(load_file(GOLDEN / "zoo/videomae.safetensors"), "pretrain.state.")
    save_file(state, tmp_path / "model.safetensors")
    config = {"num_attention_heads": 4, "decoder_num_attention_heads": 4, "layer_norm_eps": 0.1}
    config |= {"num_frames": 4, "image_size": 32}
    (tmp_path / "config.json").write_text(json.dumps(config))
    loaded = load(tmp_path)
    found = {m.eps for m in loaded.model.modules() if isinstance(m, torch.nn.LayerNorm)}
    assert found == {0.1, 1e-5}  # that of the decoder's last norm is fixed
    assert loaded.front_end.format.size == 32 and loaded.front_end.format.frames == 4


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_loading_without_gradients(context: Any, tmp_path: Path) -> None:
    torch.save(mae_state(channels=3, patches=4), tmp_path / "mae.pth")
    with context():
        dropped = load(tmp_path / "mae.pth", num_heads=2).report.dropped
    assert set(dropped) == {"mask_token", "decoder_embed.weight", "decoder_pos_embed"}


def test_two_models_of_one_kind_in_a_file(tmp_path: Path) -> None:
    state = mae_state(channels=3, patches=4)
    torch.save(state | {f"vit.{name}": 2 * x for name, x in state.items()}, tmp_path / "both.pth")
    with pytest.raises(ValueError, match=r"and vit\.\S+ are both .* as prefix=\.\.\."):
        load(tmp_path / "both.pth", num_heads=2)
    found = load(tmp_path / "both.pth", num_heads=2, prefix="vit").model
    assert torch.equal(found.norm.weight, 2 * state["norm.weight"])


def test_attention_without_biases(tmp_path: Path) -> None:
    """Of queries, keys and values: zeros compute the same."""
    state, image = mae_state(channels=3, patches=4), torch.rand(2, 3, 32, 32)
    zeros = {name: 0 * x for name, x in state.items() if name.endswith("attn.qkv.bias")}
    torch.save({n: x for n, x in state.items() if n not in zeros}, tmp_path / "mae.pth")
    with torch.no_grad():
        theirs = plain_vit(state | zeros, image, heads=2)
        ours = load(tmp_path / "mae.pth", num_heads=2).model(image)
    assert zeros and assert_close(ours, theirs, rtol=1e-4, atol=1e-5) is None


def test_configurations_that_do_not_fit(tmp_path: Path) -> None:
    for name in ("num_attention_heads", "layer_norm_eps", "image_size"):
        for value in (None, "4", True):
            of_transformers(tmp_path / "hf", **{name: value})
            with pytest.raises(ValueError, match=rf"config.json: {name} is {value!r}; download"):
                load(tmp_path / "hf")
    of_transformers(tmp_path / "hf", num_channels=1)
    with pytest.raises(ValueError, match=r"config.json: a model of images of one channel"):
        load(tmp_path / "hf")
    of_transformers(tmp_path / "hf", hidden_act="quick_gelu")
    with pytest.raises(ValueError, match=r"config.json: its activation is 'quick_gelu'"):
        load(tmp_path / "hf")


def test_numbers_of_a_spectrogram_transformer_of_transformers(tmp_path: Path) -> None:
    state = part(load_file(GOLDEN / "zoo/ast.safetensors"), "state.")
    save_file(state, tmp_path / "model.safetensors")
    numbers = {"num_attention_heads": 4, "num_mel_bins": 48}
    numbers |= {"frequency_stride": 10, "time_stride": 10, "decoder_num_attention_heads": 9}
    (tmp_path / "config.json").write_text(json.dumps(numbers))
    assert load(tmp_path).model.built == load(tmp_path, num_heads=4, mels=48, stride=10).model.built
