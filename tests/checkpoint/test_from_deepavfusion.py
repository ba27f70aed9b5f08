"""The reference's names, written out here the other way round; its own tensors: `test_parity`."""

from pathlib import Path

import pytest
import torch
from joint import joint
from safetensors.torch import load_file
from torch import Tensor

from avblocks import AVMAE, RandomMask, av_mae, av_vit
from avblocks.checkpoint import from_deepavfusion, load_weights, read_state

FUSIONS = ("token", "dense", "factorized")
GOLDEN = Path(__file__).parents[1] / "golden"
each = pytest.mark.parametrize("fusion", FUSIONS)


def make(fusion: str, *, learned: bool = False, **changes: object) -> AVMAE:
    sizes = {"image_size": 8, "audio_size": (8, 12)}
    numbers = {"depth": 2, "num_heads": 2, "patch": 4, "num_tokens": (2, 1, 1), "attn_ratio": 0.5}
    encoder = av_vit(8, fusion=fusion, **sizes, **(numbers | changes))
    return av_mae(encoder, dim=8, depth=1, num_heads=2, learned_position=learned)


NORMS = {
    "norm_fusion": "norm1_mm",
    "norm_mlp": "norm2",
    "norm_image": "norm1_img",
    "norm_audio": "norm1_aud",
}
PARTS = {
    "interaction.attn.": "attn.",
    "interaction.image_aggregator.attn.": "attn.attn_v.",
    "interaction.audio_aggregator.attn.": "attn.attn_a.",
    "interaction.pairs.": "attn.",
    "interaction.": "attn.",
}


def renamed(name: str, fusion: str) -> str:
    """What the reference calls a parameter of a fusion block."""
    swap = {"norm_image": "norm1_aud", "norm_audio": "norm1_img"} if fusion == "token" else {}
    names = NORMS | swap | PARTS
    ours = next(ours for ours in names | {"": ""} if name.startswith(ours))
    return names.get(ours, "") + name.removeprefix(ours)


def in_reference(model: AVMAE, fusion: str) -> dict[str, Tensor]:
    """The state dict that the reference would have, its two swaps included."""
    state: dict[str, Tensor] = {}
    for key, value in joint(model.state_dict()).items():
        if key.endswith("_decoder.pos_embed.table"):
            continue
        *block, name = key.split(".", maxsplit=3)
        if "fusion_blocks" in block:
            name = renamed(name, fusion)
            if fusion == "dense" and name.startswith(("attn.k.", "attn.v.")):
                # One layer of keys, then values, for a pair of audio, then image.
                value = torch.cat((value[:, 8:], value[:, :8]), dim=1) if value.ndim > 1 else value
                name = f"attn.kv.{name.split('.')[-1]}"
                value = torch.cat((state.get(".".join((*block, name)), value[:0]), value))
        state[".".join((*block, name)).replace("_decoder.", "_decoder_")] = value
    for stream, n in (("image", 4), ("audio", 6)):
        state[f"encoder.{stream}.pos_embed"] = torch.zeros(1, n, 8)
        table = model.get_submodule(f"{stream}_decoder.pos_embed").table
        state[f"{stream}_decoder_pos_embed"] = table.detach()[None]
    return state


def loss(model: AVMAE) -> Tensor:
    seeds = torch.Generator().manual_seed(1)
    image = torch.randn(2, 3, 8, 8, generator=seeds)
    audio = torch.randn(2, 1, 8, 12, generator=seeds)
    image_mask = RandomMask(0.5)((2, 2), batch=2, generator=seeds)
    audio_mask = RandomMask(0.5)((2, 3), batch=2, generator=seeds)
    with torch.no_grad():
        return model(image=image, audio=audio, image_mask=image_mask, audio_mask=audio_mask).loss


def randomized(fusion: str, **changes: object) -> AVMAE:
    model = make(fusion, **changes)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return model


@each
@pytest.mark.parametrize("layers", ["all", [1]], ids=str)
def test_a_whole_autoencoder(fusion: str, layers: object) -> None:
    source, model = (randomized(fusion, fusion_layers=layers) for _ in range(2))
    report = load_weights(model, from_deepavfusion(in_reference(source, fusion)), strict=True)
    assert len(report.dropped) == 4 and torch.equal(loss(model), loss(source))


def test_trained_positions_of_the_decoders_are_loaded() -> None:
    source, fixed = randomized("factorized", learned=True), make("factorized")
    weights = from_deepavfusion(in_reference(source, "factorized"))
    with pytest.raises(ValueError, match=r"image_decoder.pos_embed.table: .* were trained"):
        load_weights(fixed, weights)
    model = make("factorized", learned=True)
    assert len(load_weights(model, weights, strict=True).dropped) == 2
    assert torch.equal(model.image_decoder.pos_embed.table, source.image_decoder.pos_embed.table)
    assert torch.equal(loss(model), loss(source))


def test_decoders_begin_at_the_fixed_positions() -> None:
    torch.manual_seed(0)
    fixed = make("factorized")
    torch.manual_seed(0)
    learned = make("factorized", learned=True)
    for one, other in ((fixed, learned), (learned, fixed)):
        ours, theirs = one.audio_decoder.pos_embed.table, other.audio_decoder.pos_embed.table
        assert torch.equal(ours, theirs)
    assert learned.audio_decoder.pos_embed.table.requires_grad


@each
def test_an_encoder_alone(fusion: str) -> None:
    source, model = randomized(fusion), make(fusion)
    state = in_reference(source, fusion)
    alone = {n.removeprefix("encoder."): v for n, v in state.items() if n.startswith("encoder.")}
    load_weights(model.encoder, from_deepavfusion(alone), strict=True)
    for ours, theirs in zip(model.encoder.parameters(), source.encoder.parameters(), strict=True):
        assert torch.equal(ours, theirs)


@each
def test_a_released_file(fusion: str, tmp_path: Path) -> None:
    source, model = randomized(fusion), make(fusion)
    state = {f"module.{n}": v for n, v in in_reference(source, fusion).items()}
    torch.save({"state_dict": state, "epoch": 199}, tmp_path / "checkpoint.pth")
    weights = from_deepavfusion(read_state(tmp_path / "checkpoint.pth"))
    load_weights(model, weights, strict=True)
    assert torch.equal(loss(model), loss(source))


@pytest.mark.parametrize("deeper", ["image", "audio"])
def test_layers_the_reference_never_runs_are_dropped(deeper: str) -> None:
    source, model = randomized("factorized"), make("factorized")
    state = in_reference(source, "factorized")
    first = f"encoder.{deeper}.blocks.1."
    more = {n.replace(".1.", ".2.", 1): v for n, v in state.items() if n.startswith(first)}
    report = load_weights(model, from_deepavfusion(state | more), strict=True)
    assert set(more) <= set(report.dropped) and len(more) == 12
    assert torch.equal(loss(model), loss(source))


def test_without_any_fusion_block() -> None:
    source, model = (randomized("token", fusion_layers="none") for _ in range(2))
    load_weights(model, from_deepavfusion(in_reference(source, "token")), strict=True)
    assert torch.equal(loss(model), loss(source))


@each
def test_no_value_of_a_golden_file_is_lost(fusion: str) -> None:
    tensors = load_file(GOLDEN / f"mae_{fusion}.safetensors")
    state = {n.removeprefix("state."): v for n, v in tensors.items() if n.startswith("state.")}
    weights = from_deepavfusion(state)
    kept = sum(value.numel() for value in weights.state.values())
    dropped = sum(state[name].numel() for name in weights.dropped)
    assert kept + dropped == sum(value.numel() for value in state.values())
    # Its ViTs are of unequal depth: what is dropped is the surplus, and the fixed positions.
    assert all(name.endswith("pos_embed") or ".blocks." in name for name in weights.dropped)


def test_another_checkpoint_is_refused() -> None:
    with pytest.raises(
        ValueError, match="not a DeepAVFusion checkpoint: it has no 'fusion_tokens'"
    ):
        from_deepavfusion({"cls_token": torch.zeros(1, 1, 8)})
