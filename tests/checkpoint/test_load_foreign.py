"""Weights as others keep them: quantized, adapted, tied, and in modules that are wrapped."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_model
from torch import Tensor, nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import (
    apply_activation_checkpointing,
    checkpoint_wrapper,
)
from torch.nn.utils.parametrizations import weight_norm

from avblocks import AVEncoder, Block, Mlp, av_mae, av_vit, resize_position, vit
from avblocks.checkpoint import (
    from_pretrained,
    load_encoder,
    load_weights,
    read_state,
    save_pretrained,
)


def encoder() -> AVEncoder:
    sizes = {"image_size": 8, "audio_size": (8, 12), "patch": 4}
    return av_vit(16, depth=1, num_heads=2, fusion="token", **sizes)


def same(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return all(torch.equal(x, y) for x, y in pairs)


WRONG: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "int8": (lambda x: (x * 127).to(torch.int8), "torch.int8, torch.strided, and .* dequantized"),
    "bool": (lambda x: x > 0, "torch.bool"),
    "complex": (lambda x: x.to(torch.complex64), "torch.complex64"),
    "sparse": (Tensor.to_sparse, "torch.float32, torch.sparse_coo"),
    "meta": (lambda x: x.to("meta"), "on the device meta, without values"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_values_of_another_kind_are_refused(kind: str) -> None:
    """Some were copied as they are, quantized ones without their scales."""
    convert, message = WRONG[kind]
    model, before = Mlp(4), Mlp(4)
    before.load_state_dict(model.state_dict())
    weights = {name: convert(x) for name, x in Mlp(4).state_dict().items()}
    with pytest.raises(ValueError, match=rf"fc1.weight is {message}"):
        load_weights(model, weights)
    assert same(model, before)


def test_floats_of_8_bits_are_converted() -> None:
    state = {
        name: torch.ones_like(x).to(torch.float8_e4m3fn) for name, x in Mlp(4).state_dict().items()
    }
    model = Mlp(4)
    assert load_weights(model, state, strict=True).loaded
    assert all((x == 1).all() for x in model.state_dict().values())
    with pytest.raises(ValueError, match=r"not finite: 1 \(fc1.bias\)"):
        load_weights(
            model,
            state
            | {"fc1.bias": state["fc1.bias"].float().fill_(torch.nan).to(torch.float8_e4m3fn)},
        )


def test_values_beyond_the_models_range_are_refused() -> None:
    state = Mlp(4).state_dict()
    state["fc2.bias"][1] = 1e6
    with pytest.raises(ValueError, match=r"beyond the range of torch.float16: 1 \(fc2.bias\)"):
        load_weights(Mlp(4).half(), state)
    assert load_weights(Mlp(4).bfloat16(), state, strict=True).loaded


def test_a_single_suffix_may_be_a_string() -> None:
    """Its letters were taken for suffixes."""
    model = vit(8, depth=1, num_heads=2, size=8, patch=4)
    state = model.state_dict() | {"blocks.0.ls1.gamma": torch.ones(8)}
    with pytest.raises(ValueError, match=r"no place for weights .*ls1.gamma"):
        load_weights(model, state, allow="alpha")
    assert load_weights(model, state, allow="ls1.gamma").unused == ("blocks.0.ls1.gamma",)


ADAPTERS = {
    "peft": ["base_layer.weight", "lora_A.default.weight", "lora_B.default.weight"],
    "ia3": ["ia3_l.default"],
    "parametrization": ["parametrizations.weight.original0", "parametrizations.weight.original1"],
    "older weight norm": ["weight_g", "weight_v"],
    "bitsandbytes": ["SCB", "weight.absmax"],
    "compressed": ["weight_scale"],
}


@pytest.mark.parametrize("kind", ADAPTERS)
def test_weights_of_an_adapted_layer_are_not_left_out(kind: str) -> None:
    """In any layer, also in those of fusions, which stayed at initialization."""
    layer = "fusion_blocks.0.interaction.attn.q"
    state = encoder().state_dict()
    if kind not in ("ia3", "bitsandbytes", "compressed"):
        del state[f"{layer}.weight"]
    state |= {f"{layer}.{name}": torch.ones(1) for name in ADAPTERS[kind]}
    with pytest.raises(
        ValueError, match=rf"no place for weights .*: {len(ADAPTERS[kind])} \({layer}"
    ):
        load_encoder(encoder(), state)
    assert load_encoder(encoder(), state, allow=ADAPTERS[kind]).unused


def test_weights_for_a_layer_that_is_adapted_are_not_left_out() -> None:
    adapted = encoder()
    weight_norm(adapted.fusion_blocks["0"].mlp.fc1)
    with pytest.raises(ValueError, match=r"no place for .*: 1 \(fusion_blocks.0.mlp.fc1.weight\)"):
        load_encoder(adapted, encoder().state_dict())
    again = encoder()
    weight_norm(again.fusion_blocks["0"].mlp.fc1)
    assert load_weights(again, adapted.state_dict(), strict=True).loaded and same(again, adapted)


def shared() -> nn.Module:
    mlp = Mlp(8)
    return nn.Sequential(*(Block(8, num_heads=2, mlp=mlp) for _ in range(2)))


def test_tied_weights_are_in_a_file_once(tmp_path: Path) -> None:
    """As safetensors writes them."""
    source, model = shared(), shared()
    save_model(source, str(tmp_path / "x.safetensors"))
    state = read_state(tmp_path / "x.safetensors")
    assert len(state) < len(source.state_dict())
    report = load_weights(model, state, strict=True)
    assert set(report.loaded) == set(source.state_dict()) and same(model, source)
    apart = dict(source.state_dict()) | {"1.mlp.fc1.bias": torch.ones(32)}
    with pytest.raises(
        ValueError, match=r"0.mlp.fc1.bias and 1.mlp.fc1.bias are one weight in the"
    ):
        load_weights(model, apart)


def compiled(model: AVEncoder) -> AVEncoder:
    for stream in (model.image, model.audio):
        for i, block in enumerate(stream.blocks):
            stream.blocks[i] = torch.compile(block, backend="eager")
    return model


def checkpointed(model: AVEncoder) -> AVEncoder:
    apply_activation_checkpointing(model, check_fn=lambda module: isinstance(module, Block))
    return model


def older(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Queries, keys and values in one layer, as in avblocks until 0.1."""
    joined = dict(state)
    for name in [n for n in state if ".blocks." in n and ".attn.q." in n]:
        parts = joined.pop(name), joined.pop(name.replace(".q.", ".kv."))
        joined[name.replace(".q.", ".qkv.")] = torch.cat(parts)
    return joined


@pytest.mark.parametrize("wrap", [compiled, checkpointed])
@pytest.mark.parametrize("load", [load_weights, load_encoder])
def test_modules_inside_may_be_wrapped(
    wrap: Callable[[AVEncoder], AVEncoder], load: Callable[..., object]
) -> None:
    source = encoder()
    pairs = [(wrap(encoder()), source.state_dict()), (encoder(), wrap(source).state_dict())]
    for model, state in [*pairs, (wrap(encoder()), older(encoder().state_dict()))]:
        report = load(model, state)
        assert not report.missing and not report.unused
    assert same(pairs[0][0], source) and same(pairs[1][0], source)
    table = {"learned_position": True, "patch": 4}
    small, large = (vit(8, depth=1, num_heads=2, size=size, **table) for size in (8, 16))
    apply_activation_checkpointing(large, check_fn=lambda module: module is large.pos_embed)
    assert load_weights(large, small.state_dict()).reshaped == ("pos_embed.table",)


@pytest.mark.parametrize("wrap", [compiled, checkpointed])
def test_encoders_with_wrapped_modules_are_saved(
    wrap: Callable[[AVEncoder], AVEncoder], tmp_path: Path
) -> None:
    source = encoder()
    save_pretrained(wrap(deepcopy(source)), tmp_path)
    assert load_file(tmp_path / "model.safetensors").keys() == source.state_dict().keys()
    assert same(from_pretrained(tmp_path).encoder, source)
    mae = av_mae(wrap(deepcopy(source)), dim=8, depth=1, num_heads=1)
    save_pretrained(checkpoint_wrapper(mae), tmp_path / "mae")
    assert same(from_pretrained(tmp_path / "mae").encoder, source)
    changed = wrap(deepcopy(source))
    changed.image.blocks[0] = torch.compile(Block(16, num_heads=1), backend="eager")
    with pytest.raises(ValueError, match=r"image.blocks.0.+, theirs "):
        save_pretrained(changed, tmp_path)


def test_positions_of_an_unknown_grid() -> None:
    """16 positions are of 4x4 or, with the rows of a spectrogram, of 2x8 patches."""
    numbers = {"depth": 1, "num_heads": 2, "patch": 4, "channels": 1, "learned_position": True}
    source, longer = (vit(16, size=(8, frames), **numbers) for frames in (32, 64))
    state = source.state_dict()
    with pytest.raises(ValueError, match="may be of a grid of 4x4 or 2x8; interpolate"):
        load_weights(longer, state)
    table = resize_position(state["pos_embed.table"], grid=(2, 8), new_grid=(2, 16))
    assert not load_weights(longer, state | {"pos_embed.table": table}).missing
    square = vit(16, size=24, **numbers)
    assert load_weights(square, state).reshaped == ("pos_embed.table",)
