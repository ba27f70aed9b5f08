from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from avblocks import Decoder, av_mae, av_vit, vit
from avblocks.heads import classifier
from avblocks.optim import layer_decay_groups, param_groups


@pytest.fixture
def model() -> nn.Module:
    sizes = {"image_size": 32, "audio_size": (32, 32)}
    encoder = av_vit(16, depth=1, num_heads=4, **sizes)
    return av_mae(encoder, dim=16, depth=1, num_heads=4)


def names(model: nn.Module, group: dict) -> set[str]:
    ids = {id(parameter) for parameter in group["params"]}
    return {name for name, parameter in model.named_parameters() if id(parameter) in ids}


def test_every_parameter_once(model: nn.Module) -> None:
    starts = [n for n, _ in model.named_parameters() if n.startswith("encoder.image.")]
    groups = param_groups(model, weight_decay=0.1, pretrained=starts)
    listed = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(listed) == sorted(id(parameter) for parameter in model.parameters())
    assert len(groups) == 4


def test_vectors_do_not_decay_and_the_pretrained_stand_apart(model: nn.Module) -> None:
    starts = [n for n, _ in model.named_parameters() if n.startswith("encoder.image.")]
    for group in param_groups(model, weight_decay=0.1, pretrained=starts):
        assert {name in starts for name in names(model, group)} == {group["pretrained"]}
        for name in names(model, group):
            vector = name.endswith("bias") or "norm" in name
            assert group["weight_decay"] == (0.0 if vector else 0.1), name


def test_frozen_parameters_are_left_out(model: nn.Module) -> None:
    model.encoder.requires_grad_(False)
    found = set().union(*(names(model, group) for group in param_groups(model)))
    assert found == {n for n, _ in model.named_parameters() if not n.startswith("encoder.")}


def test_adamw_takes_the_groups(model: nn.Module) -> None:
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    torch.optim.AdamW(param_groups(model), lr=1e-3, betas=(0.9, 0.95)).step()
    assert all((parameter < before[name]).all() for name, parameter in model.named_parameters())


def test_unknown_pretrained_name() -> None:
    decoder = Decoder(8, grid=(2, 2), patch_values=4, dim=8, depth=1, num_heads=2)
    with pytest.raises(ValueError, match=r"pretrained must be .*'encoder.nope'"):
        param_groups(decoder, pretrained=["encoder.nope"])


DEPTH = 3


@pytest.fixture
def tuned() -> nn.Module:
    sizes = {"image_size": 32, "audio_size": (32, 32)}
    encoder = av_vit(16, depth=DEPTH, num_heads=4, fusion_layers=[0, 2], **sizes)
    return nn.ModuleDict({"encoder": encoder, "head": classifier(16, num_classes=5)})


def slow_layer(name: str) -> int:
    """Layer by layer, in words of the reference's numbering."""
    if not name.startswith("encoder."):
        return DEPTH + 1
    for layer in range(DEPTH):
        if any(f"{blocks}.{layer}." in name for blocks in ("blocks", "fusion_blocks")):
            return layer + 1
    return 0 if "patch_embed" in name or "fusion_tokens" in name else DEPTH + 1


@given(st.floats(0.1, 1.0))
def test_the_scale_falls_by_one_factor_a_layer(decay: float) -> None:
    sizes = {"image_size": 32, "audio_size": (32, 32)}
    encoder = av_vit(8, depth=DEPTH, num_heads=2, fusion_layers=[0, 2], **sizes)
    model = nn.ModuleDict({"encoder": encoder, "head": nn.Linear(8, 3)})
    found = set()
    for group in layer_decay_groups(model, lr_decay=decay, weight_decay=0.3):
        for name in names(model, group):
            assert group["lr_scale"] == pytest.approx(decay ** (DEPTH + 1 - slow_layer(name))), name
            vector = name.endswith("bias") or "norm" in name
            assert group["weight_decay"] == (0.0 if vector else 0.3), name
            found.add(slow_layer(name))
    assert found == set(range(DEPTH + 2))


def test_layer_decay_has_every_parameter_once(tuned: nn.Module) -> None:
    groups = layer_decay_groups(tuned)
    listed = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(listed) == sorted(id(parameter) for parameter in tuned.parameters())
    assert len(groups) == len({(g["lr_scale"], g["weight_decay"]) for g in groups})
    torch.optim.AdamW(groups, lr=1e-3).step()


def test_layer_decay_leaves_the_frozen_out(tuned: nn.Module) -> None:
    tuned["encoder"].image.requires_grad_(False)
    groups = layer_decay_groups(tuned)
    listed = set().union(*(names(tuned, group) for group in groups))
    everything = {n for n, _ in tuned.named_parameters()}
    assert listed == {n for n in everything if not n.startswith("encoder.image.")}


def test_layer_decay_of_an_encoder_alone(tuned: nn.Module) -> None:
    inside = layer_decay_groups(tuned["encoder"], encoder="")
    scales = {id(p): g["lr_scale"] for g in inside for p in g["params"]}
    for group in layer_decay_groups(tuned):
        for p in group["params"]:
            assert scales.get(id(p), 1.0) == group["lr_scale"]


def test_a_stream_shallower_than_the_other() -> None:
    sizes = {"image_size": 32, "audio_size": (32, 32)}
    encoder = av_vit(8, depth=(3, 2), num_heads=2, **sizes)
    groups = layer_decay_groups(encoder, encoder="", lr_decay=0.5)
    scale = {n: g["lr_scale"] for g in groups for n in names(encoder, g)}
    assert scale["audio.blocks.1.attn.kv.weight"] == scale["image.blocks.1.attn.kv.weight"]
    assert scale["audio.norm.weight"] == scale["image.norm.weight"] == 1.0


def test_layer_decay_refuses_what_it_does_not_know(tuned: nn.Module) -> None:
    with pytest.raises(ValueError, match="encoder must be the name of a module, got 'model'"):
        layer_decay_groups(tuned, encoder="model")
    with pytest.raises(ValueError, match=r"`depth` and `param_layers`.*, got Classifier"):
        layer_decay_groups(tuned, encoder="head")


def test_layers_are_those_of_the_modules_whatever_their_names(tuned: nn.Module) -> None:
    """A stem is below the blocks, and a block of another class is the layer that it is in."""
    tuned["encoder"].image.add_module("stem", nn.Linear(2, 2))
    tuned["encoder"].image.blocks[1] = nn.Linear(16, 16)
    scales = {n: g["lr_scale"] for g in layer_decay_groups(tuned) for n in names(tuned, g)}
    assert scales["encoder.image.stem.weight"] == 0.75 ** (DEPTH + 1)
    assert scales["encoder.image.blocks.1.weight"] == 0.75 ** (DEPTH - 1)


def test_a_vit_knows_its_layers() -> None:
    model = vit(8, depth=2, num_heads=2, size=8, patch=4)
    groups = layer_decay_groups(model, encoder="", lr_decay=0.5)
    scale = {n: g["lr_scale"] for g in groups for n in names(model, g)}
    wanted = {"patch_embed.proj.bias": 0.125, "blocks.0.norm1.bias": 0.25, "norm.weight": 1.0}
    assert {name: scale[name] for name in wanted} == wanted


@pytest.mark.parametrize("wrong", [{"lr_decay": 0.0}, {"lr_decay": 1.1}, {"weight_decay": -1.0}])
def test_layer_decay_of_impossible_numbers(tuned: nn.Module, wrong: dict) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be"):
        layer_decay_groups(tuned, **wrong)


@pytest.mark.parametrize("inside", [True, False])
def test_layers_of_a_compiled_encoder_are_those_of_the_encoder(
    tuned: nn.Module, inside: bool
) -> None:
    def scales(model: nn.Module, encoder: str) -> dict[int, float]:
        groups = layer_decay_groups(model, encoder=encoder, lr_decay=0.5)
        return {id(p): group["lr_scale"] for group in groups for p in group["params"]}

    if inside:
        wanted = scales(tuned, "encoder")
        tuned.encoder = torch.compile(tuned.get_submodule("encoder"), backend="eager")
        assert scales(tuned, "encoder") == wanted
    else:
        encoder = tuned.get_submodule("encoder")
        wanted = scales(encoder, "")
        assert scales(torch.compile(encoder, backend="eager"), "") == wanted
    assert len(set(wanted.values())) > 2


class Wrapper(nn.Module):
    """Passes attributes of the module inside on, as adapters do; names begin with another."""

    def __init__(self, inside: nn.Module) -> None:
        super().__init__()
        self.inside = inside

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("inside"), name)


def test_layer_decay_refuses_layers_of_other_names(tuned: nn.Module) -> None:
    tuned.encoder = Wrapper(tuned.get_submodule("encoder"))
    with pytest.raises(ValueError, match=r"of Wrapper has no layer for 'inside\.fusion_tokens'"):
        layer_decay_groups(tuned)
    assert len(layer_decay_groups(tuned, encoder="encoder.inside")) > 2


@pytest.mark.parametrize("wrapped", ["compiled", "replica"])
def test_wrapped_models_have_the_same_scales(wrapped: str) -> None:
    sizes = {"image_size": 32, "audio_size": (32, 32)}
    model = nn.ModuleDict({"encoder": av_vit(16, depth=2, num_heads=4, **sizes)})
    wanted = [group["lr_scale"] for group in layer_decay_groups(model, lr_decay=0.5)]
    if wrapped == "compiled":
        found = layer_decay_groups(torch.compile(model, backend="eager"), lr_decay=0.5)
    else:
        replica = nn.Sequential()
        replica.add_module("module", model)
        with pytest.raises(ValueError, match=r"in this model, it is 'module\.encoder'"):
            layer_decay_groups(replica, lr_decay=0.5)
        found = layer_decay_groups(replica, encoder="module.encoder", lr_decay=0.5)
    assert [group["lr_scale"] for group in found] == wanted
