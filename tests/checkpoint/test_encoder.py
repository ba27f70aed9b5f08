"""An encoder filled from each kind of file, told apart by names and shapes."""

import golden
import pytest
import torch
from torch import Tensor

from avblocks import AVEncoder, av_vit, sincos_position
from avblocks.checkpoint import load_encoder

SIZES = {"image_size": 8, "audio_size": (8, 12), "num_tokens": (2, 1, 1), "patch": 4}


def encoder(seed: int = 0) -> AVEncoder:
    torch.manual_seed(seed)
    return av_vit(8, depth=2, num_heads=2, **SIZES)


def published_vit(channels: int) -> dict[str, Tensor]:
    """A ViT in MAE's names, with what MAE and its followers keep beside it."""
    torch.manual_seed(1)
    whole = encoder(seed=5)
    vit = whole.image if channels == 3 else whole.audio
    beside = {
        "cls_token": torch.zeros(1, 1, 8),
        "pos_embed": torch.cat((torch.zeros(1, 8), sincos_position(8, (2, 2))))[None],
        "decoder_embed.weight": torch.zeros(4, 8),
    }
    return dict(vit.state_dict()) | beside


@pytest.mark.parametrize("name", ["model.mae.encoder.", "model.encoder.", "model."])
def test_runs_of_pretraining_and_of_tasks(name: str) -> None:
    theirs, ours = encoder(seed=1), encoder(seed=2)
    state = {name + n: v for n, v in theirs.state_dict().items()}
    state["head.weight"] = torch.zeros(3)
    report = load_encoder(ours, state)
    assert not report.missing and not report.unused and len(report.dropped) == 1
    for key, value in theirs.state_dict().items():
        assert torch.equal(value, ours.state_dict()[key]), key


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
def test_names_of_wrapped_encoders(prefix: str) -> None:
    theirs, ours = encoder(seed=1), encoder(seed=2)
    report = load_encoder(ours, {prefix + n: v for n, v in theirs.state_dict().items()})
    assert not report.missing and not report.unused
    for key, value in theirs.state_dict().items():
        assert torch.equal(value, ours.state_dict()[key]), key


@pytest.mark.parametrize("whole", [True, False])
def test_the_reference(whole: bool) -> None:
    tensors, config = golden.read(golden.GOLDEN / "mae_dense.safetensors")
    state = golden.part(tensors, "state.")
    if not whole:  # The encoder alone, as `AVEncoder` names it.
        state = golden.part(state, "encoder.")
    ours = golden.build(config).encoder
    report = load_encoder(ours, state)
    assert not report.missing and not report.unused
    assert torch.equal(ours.fusion_tokens, golden.part(tensors, "state.encoder.")["fusion_tokens"])


@pytest.mark.parametrize(("channels", "stream"), [(3, "image"), (1, "audio")])
def test_a_single_vit_fills_the_stream_of_its_channels(channels: int, stream: str) -> None:
    ours, state = encoder(seed=2), published_vit(channels)
    before = {name: value.clone() for name, value in ours.state_dict().items()}
    report = load_encoder(ours, state)
    assert all(name.startswith(f"{stream}.") for name in report.loaded)
    assert {"cls_token", "decoder_embed.weight", "pos_embed"} <= set(report.dropped)
    for name, value in ours.state_dict().items():
        inside = name.startswith(f"{stream}.")
        wanted = state[name.removeprefix(f"{stream}.")] if inside else before[name]
        assert torch.equal(value, wanted), name


def test_a_vit_of_trained_positions_needs_a_stream_that_has_them() -> None:
    ours, state = encoder(seed=2), published_vit(3)
    state["pos_embed"] = state["pos_embed"] + 0.01
    with pytest.raises(ValueError, match=r"image.pos_embed.table: .* positions were trained"):
        load_encoder(ours, state)
    assert load_encoder(ours, state, allow=["pos_embed.table"]).loaded


def test_other_files_are_refused_and_change_nothing() -> None:
    ours = encoder()
    before = {name: value.clone() for name, value in ours.state_dict().items()}
    two = {"a.patch_embed.proj.weight": torch.zeros(8, 3, 4, 4)}
    two["b.patch_embed.proj.weight"] = torch.zeros(8, 3, 4, 4)
    for state in (
        {"layer1.weight": torch.zeros(3)},
        {"patch_embed.proj.weight": torch.zeros(8, 2, 4, 4)},
        two,
    ):
        with pytest.raises(ValueError, match="no known kind"):
            load_encoder(ours, state)
    with pytest.raises(ValueError, match="weights of another size"):
        load_encoder(ours, {"patch_embed.proj.weight": torch.zeros(16, 3, 4, 4)})
    with pytest.raises(ValueError, match="no weight of the file fits"):
        load_encoder(ours, {"model.encoder.something": torch.zeros(3)})
    assert all(torch.equal(value, before[name]) for name, value in ours.state_dict().items())
