import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from avblocks import Block, ViT, resize_position, vit
from avblocks.checkpoint import Converted, LoadReport, load_weights
from avblocks.checkpoint.whole import unwrapped


@pytest.fixture
def model() -> Block:
    return Block(8, num_heads=2)


def ones(module: nn.Module, *without: str) -> dict[str, Tensor]:
    state = module.state_dict()
    return {name: torch.ones_like(v) for name, v in state.items() if name not in without}


def learned(grid: tuple[int, int]) -> ViT:
    size = (4 * grid[0], 4 * grid[1])
    return vit(8, depth=1, num_heads=2, size=size, patch=4, learned_position=True)


def test_report(model: Block) -> None:
    before = model.norm2.bias.clone()
    state = ones(model, "norm2.bias") | {"head.weight": torch.zeros(3)}
    report = load_weights(model, Converted(state, dropped=("cls_token",)))
    assert report.missing == ("norm2.bias",)
    assert report.unused == ("head.weight",)
    assert report.dropped == ("cls_token",)
    assert set(report.loaded) == set(model.state_dict()) - {"norm2.bias"}
    assert torch.equal(model.norm2.bias, before) and bool((model.attn.kv.weight == 1).all())
    inside = report.prefixed("encoder.")
    assert inside.missing == ("encoder.norm2.bias",) and inside.unused == report.unused


def test_printout() -> None:
    report = LoadReport(loaded=("a", "b"), missing=tuple("cdefg"), dropped=("cls_token",))
    assert str(report).splitlines() == [
        "loaded: 2 (a, b)",
        "left at initialization: 5 (c, d, e, f, ... (+1))",
        "unused in the file: none",
        "reshaped: none",
        "dropped on purpose: 1 (cls_token)",
    ]


def test_strict_takes_what_fits_exactly(model: Block) -> None:
    report = load_weights(model, Converted(ones(model), dropped=("cls_token",)), strict=True)
    assert not report.missing and not report.unused


@pytest.mark.parametrize(
    ("without", "extra", "named"),
    [("norm1.bias", {}, "norm1.bias"), ("", {"head.bias": torch.zeros(1)}, "head.bias")],
)
def test_strict_names_the_surprise(
    model: Block, without: str, extra: dict[str, Tensor], named: str
) -> None:
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(ValueError, match=f"strict: .*{named}"):
        load_weights(model, ones(model, without) | extra, strict=True)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


@pytest.mark.parametrize("strict", [True, False])
def test_another_size_is_named_and_nothing_is_loaded(model: Block, strict: bool) -> None:
    before = model.attn.proj.weight.clone()
    state = ones(model) | {"mlp.fc1.weight": torch.zeros(16, 8)}
    with pytest.raises(
        ValueError, match=r"mlp.fc1.weight: \(16, 8\) in the file, \(32, 8\) in the"
    ):
        load_weights(model, state, strict=strict)
    assert torch.equal(model.attn.proj.weight, before)


def test_a_size_that_would_broadcast_is_refused(model: Block) -> None:
    with pytest.raises(ValueError, match=r"norm1.weight: \(1,\) in the file"):
        load_weights(model, ones(model) | {"norm1.weight": torch.zeros(1)})


@pytest.mark.parametrize("state", [{}, {"other.weight": torch.zeros(2)}])
def test_nothing_fits(model: Block, state: dict[str, Tensor]) -> None:
    with pytest.raises(ValueError, match="no weight of the file fits the model") as info:
        load_weights(model, state)
    assert "left at initialization: 14" in str(info.value)


def test_other_precisions_are_cast(model: Block) -> None:
    load_weights(model, {name: value.half() for name, value in ones(model).items()})
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_learned_positions_are_interpolated() -> None:
    model, other = learned((4, 6)), learned((3, 3))
    report = load_weights(model, other.state_dict(), strict=True)
    assert report.reshaped == ("pos_embed.table",) and report.reshaped[0] in report.loaded
    wanted = resize_position(other.pos_embed.table, grid=(3, 3), new_grid=(4, 6))
    assert_close(model.pos_embed.table, wanted)
    assert not load_weights(model, learned((4, 6)).state_dict()).reshaped


def test_learned_positions_of_no_square_grid_are_refused() -> None:
    with pytest.raises(ValueError, match=r"pos_embed.table: 6 positions do not fit .*\(4, 4\)"):
        load_weights(learned((4, 4)), learned((2, 3)).state_dict())


LOST = ["ls1.gamma", "gamma_1", "attn.relative_position_bias_table", "attn.q_norm.weight"]
# Of EVA-02, DINOv3, LLaMA, RoPE-ViT, TimeSformer (timm's and transformers' names), MViT, CLIP,
# BEATs, data2vec, Swin V2, CAV-MAE, BERT.
LOST += ["rope.freqs_cos", "rope_embed.periods", "rotary_emb.inv_freq", "freqs_t_x"]
LOST += ["time_embed", "timesformer.embeddings.time_embeddings", "pos_embed_temporal"]
LOST += ["pos_embed_spatial", "vision_model.pre_layrnorm.weight", "temporal_embedding.weight"]
LOST += ["encoder.layers.0.self_attn.relative_attention_bias.weight", "pos_conv.0.weight_g"]
LOST += ["modality_encoders.IMAGE.alibi_scale", "attn.cpb_mlp.0.weight", "modality_a"]
LOST += ["embeddings.token_type_embeddings.weight", "storage_tokens", "frame_position_embeddings"]
LOST += ["rel_pos_bias.relative_position_bias_table", "dist_token", "reg_token", "attn.rel_pos_h"]


@pytest.mark.parametrize("name", LOST)
def test_weights_that_their_model_computes_with_are_not_lost(model: Block, name: str) -> None:
    before = {n: value.clone() for n, value in model.state_dict().items()}
    state = {n: torch.zeros_like(value) for n, value in before.items()}
    for weights in (state | {name: torch.ones(1)}, Converted(state, dropped=(name,))):
        with pytest.raises(ValueError, match=rf"no place for weights .*: 1 \({name}\); build one"):
            load_weights(model, weights)
    assert all(torch.equal(value, before[n]) for n, value in model.state_dict().items())
    report = load_weights(model, state | {name: torch.ones(1)}, allow=(name,))
    assert report.unused == (name,)


PARTS = ["blocks.0.attn.sinks", "blocks.1.mlp.norm.weight", "blocks.2.norm1.weight"]


@pytest.mark.parametrize("name", [*PARTS, "patch_embed.norm.weight"])
def test_of_blocks_and_patch_embeddings_all_is_computed_with(name: str) -> None:
    """Whatever it is called, and blocks beyond the model's depth."""
    model = vit(8, size=8, patch=4, depth=2, num_heads=2)
    extra = {name: torch.ones(1)}
    with pytest.raises(ValueError, match=rf"no place for weights .*: 1 \({name}\); build one"):
        load_weights(model, model.state_dict() | extra)
    assert load_weights(model, model.state_dict() | extra, allow=(name,)).unused == (name,)
    # Of a part that the model does not have, nothing is wanted.
    elsewhere = {f"other.{name}": torch.ones(1)}
    assert load_weights(model, model.state_dict() | elsewhere).unused == (f"other.{name}",)


OTHERS = ["cls_token", "decoder_blocks.0.ls1.gamma", "head_dist.bias", "decoder_pos_embed"]
OTHERS += ["attn.relative_position_index", "fixed_positional_encoder.positions", "mask_token"]
OTHERS += ["fc_norm.weight", "fusion_tokens", "logit_scale", "post_conv.weight", "text.ln.weight"]


@pytest.mark.parametrize("name", OTHERS)
def test_other_parts_may_be_left_out(model: Block, name: str) -> None:
    state = {n: torch.zeros_like(value) for n, value in model.state_dict().items()}
    assert load_weights(model, Converted(state, dropped=(name,))).dropped == (name,)


WRAPPED = {
    "compiled": lambda model: torch.compile(model, backend="eager"),
    "data parallel": nn.DataParallel,
    "averaged": torch.optim.swa_utils.AveragedModel,
    "both": lambda model: nn.DataParallel(torch.compile(model, backend="eager")),
}


@pytest.mark.parametrize("kind", WRAPPED)
def test_wrapped_models_and_their_weights(model: Block, kind: str) -> None:
    """The weights of one are those of the other, with and without a wrapper."""
    torch.manual_seed(1)
    other = Block(8, num_heads=2)
    for into, source in ((WRAPPED[kind](model), other), (model, WRAPPED[kind](other))):
        report = load_weights(into, source.state_dict(), strict=True)
        assert set(report.loaded) == set(other.state_dict())
        for name, value in other.state_dict().items():
            assert torch.equal(unwrapped(into).state_dict()[name], value)
        load_weights(model, ones(model))


def test_names_of_a_module_that_is_called_module_stay() -> None:
    model = nn.ModuleDict({"module": nn.Linear(2, 2)})
    report = load_weights(model, ones(model), strict=True)
    assert report.loaded == ("module.weight", "module.bias")


def test_a_model_without_memory_is_refused(model: Block) -> None:
    state = ones(model)
    for weights in (state, Converted(state)):
        with pytest.raises(ValueError, match=r"on the device meta, .* model.to_empty"):
            load_weights(model.to("meta"), weights)


@pytest.mark.usefixtures("unchecked")
def test_weights_that_are_no_tensors(model: Block) -> None:
    state: dict = {name: x.numpy() for name, x in ones(model).items()}
    with pytest.raises(
        ValueError, match=r"must be tensors, as torch.from_numpy gives, got a ndarr"
    ):
        load_weights(model, state)
    path: Any = "model.pt"
    with pytest.raises(ValueError, match=r"a state dict, as read_state\(FILE\) returns, got a str"):
        load_weights(model, path)
