"""The reference's separation model: each of its levels lands where ours computes the same."""

from pathlib import Path

import pytest
import torch
from joint import joint
from safetensors.torch import load_file

from avblocks.checkpoint import from_deepavfusion_separator, load_weights
from avblocks.heads import separator

GOLDEN = Path(__file__).parents[1] / "golden" / "separation.safetensors"


def reference() -> dict[str, torch.Tensor]:
    tensors = load_file(GOLDEN).items()
    return {k.removeprefix("sep.state."): v for k, v in tensors if k.startswith("sep.state.")}


def test_every_tensor_is_kept_under_its_own_name() -> None:
    state = reference()
    converted = from_deepavfusion_separator(state)
    assert len(joint(converted.state)) + len(converted.dropped) == len(state)
    assert all(name.endswith("pos_embed") for name in converted.dropped)
    theirs = {id(value) for name, value in state.items() if name.startswith("avss_decoder.")}
    ours = {id(value) for name, value in converted.state.items() if name.startswith("head.")}
    assert ours == theirs
    head = {
        name.removeprefix("head."): value
        for name, value in converted.state.items()
        if name.startswith("head.")
    }
    load_weights(separator(16, num_layers=5), head, strict=True)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("xv_norm.weight", "image_norm.weight"),
        ("xa_norm.0.bias", "laterals.4.norm.bias"),
        ("xa_norm.4.bias", "laterals.0.norm.bias"),
        ("cond5.weight", "laterals.0.condition.weight"),
        ("cond1.weight", "laterals.4.condition.weight"),
        ("lat4.up.weight", "laterals.1.up.up.weight"),
        ("lat1.conv.double_conv.3.weight", "laterals.4.up.conv.conv2.weight"),
        ("up4.up.bias", "ups.0.up.bias"),
        ("up1.conv.double_conv.4.running_var", "ups.3.conv.norm2.running_var"),
        ("top.double_conv.1.num_batches_tracked", "top.norm1.num_batches_tracked"),
        ("pred.weight", "pred.weight"),
    ],
)
def test_names(theirs: str, ours: str) -> None:
    state = reference()
    found = from_deepavfusion_separator(state).state
    assert found[f"head.{ours}"] is state[f"avss_decoder.{theirs}"]


def test_another_checkpoint_is_refused() -> None:
    state = reference()
    encoder = {name: value for name, value in state.items() if name.startswith("encoder.")}
    with pytest.raises(ValueError, match="no name is 'avss_decoder"):
        from_deepavfusion_separator(encoder)
    head = {name: value for name, value in state.items() if not name.startswith("encoder.")}
    with pytest.raises(ValueError, match="it has no 'fusion_tokens'"):
        from_deepavfusion_separator(head)
