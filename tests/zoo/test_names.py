"""Published files in their several names fill our models alike."""

import re

import pytest
import torch
from joint import joint
from slow import randomize
from torch import Tensor, nn
from torch.testing import assert_close

from avblocks import RandomMask
from avblocks.zoo import (
    VideoMAE,
    ast,
    ast_sizes,
    dinov2,
    dinov2_sizes,
    from_ast,
    from_dinov2,
    from_videomae,
    from_videomae_mae,
    videomae,
    videomae_mae,
    videomae_mae_sizes,
    videomae_sizes,
)
from avblocks.zoo.names import heads_of

State = dict[str, Tensor]
# The names of checkpoints on the hub, which transformers 4 has in memory too.
HUB = (
    (r"^patch_embed\.proj", "embeddings.patch_embeddings.projection"),
    (r"^blocks", "encoder.layer"),
    (r"attn\.proj", "attention.output.dense"),
    (r"attn\.(query|key|value)", r"attention.attention.\1"),
    (r"^norm\.", "layernorm."),
)
AST_HUB = (
    *HUB,
    (r"norm1", "layernorm_before"),
    (r"norm2", "layernorm_after"),
    (r"mlp\.fc1", "intermediate.dense"),
    (r"mlp\.fc2", "output.dense"),
)
DINO_HUB = (*HUB, (r"ls(\d)\.gamma", r"layer_scale\1.lambda1"))


def small_ast(**changes: object) -> nn.Module:
    numbers = {"depth": 2, "num_heads": 1, "size": (48, 56)} | changes
    return randomize(ast(64, **numbers)).float().eval()


def small_dinov2(**changes: object) -> nn.Module:
    return randomize(dinov2(64, depth=2, num_heads=1, size=42, **changes)).float().eval()


def timm(
    model: nn.Module, tokens: tuple[str, ...], *, counts: tuple[int, ...], table: bool = True
) -> State:
    """A ViT's state in timm's names; ``table``: the class tokens' positions are in the table."""
    state = joint(model.state_dict())
    parts = state.pop("prefix_tokens").split(counts, dim=1)
    positions = state.pop("pos_embed.table")[None]
    if table:
        first = torch.randn(
            1,
            sum(parts[i].shape[1] for i in range(len(parts)) if tokens[i] != "register_tokens"),
            64,
        )
        positions = torch.cat((first, positions), dim=1)
        places = iter(first.split(1, dim=1))
        parts = tuple(
            p if n == "register_tokens" else p - next(places)
            for n, p in zip(tokens, parts, strict=True)
        )
    return state | dict(zip(tokens, parts, strict=True)) | {"pos_embed": positions}


def hub(state: State, names: tuple[tuple[str, str], ...]) -> State:
    """timm's names as those of the hub."""
    renamed = {}
    for name, value in state.items():
        kinds = (
            zip(("query", "key", "value"), value.chunk(3), strict=True)
            if "qkv" in name
            else [("", value)]
        )
        for kind, part in kinds:
            theirs = name.replace("qkv", kind) if kind else name
            for ours, new in names:
                theirs = re.sub(ours, new, theirs)
            renamed[theirs] = part.clone()
    tokens = {
        "cls_token": "cls_token",
        "dist_token": "distillation_token",
        "register_tokens": "register_tokens",
    }
    tokens["pos_embed"] = "position_embeddings"
    return {f"embeddings.{tokens[n]}" if n in tokens else n: x for n, x in renamed.items()}


@pytest.mark.parametrize("form", ["authors", "hub"])
def test_ast(form: str) -> None:
    model, x = small_ast(), torch.randn(2, 1, 48, 56)
    state = timm(model, ("cls_token", "dist_token"), counts=(1, 1))
    if form == "hub":
        file = {f"audio_spectrogram_transformer.{n}": v for n, v in hub(state, AST_HUB).items()}
        file |= {
            "classifier.dense.weight": torch.zeros(7, 64),
            "classifier.layernorm.bias": torch.zeros(64),
        }
    else:
        file = {f"v.{n}": v for n, v in state.items()} | {"mlp_head.1.weight": torch.zeros(7, 64)}
    twin = ast(**ast_sizes(file, mels=48)).eval()
    twin.load_state_dict(from_ast(file))
    assert_close(twin(x), model(x))


def test_deit_is_a_distilled_vit_of_square_patches() -> None:
    model, x = small_ast(size=48, stride=16, channels=3), torch.randn(1, 3, 48, 48)
    file = timm(model, ("cls_token", "dist_token"), counts=(1, 1))
    twin = ast(**ast_sizes(file, mels=48, stride=16)).eval()
    twin.load_state_dict(from_ast(file))
    assert_close(twin(x), model(x))


@pytest.mark.parametrize("registers", [0, 3])
@pytest.mark.parametrize("form", ["authors", "timm", "hub"])
def test_dinov2(form: str, registers: int) -> None:
    model, x = small_dinov2(registers=registers), torch.randn(2, 3, 70, 56)
    tokens, counts = ("cls_token", "register_tokens"), (1, registers)
    if not registers:
        tokens, counts = tokens[:1], counts[:1]
    file = timm(model, tokens, counts=counts, table=form != "timm")
    if form == "timm":
        file = {n.replace("register_tokens", "reg_token"): v for n, v in file.items()}
    if form == "hub":
        file = hub(file, DINO_HUB)
    file["mask_token"] = torch.zeros(1, 64)
    twin = dinov2(**dinov2_sizes(file)).eval()
    twin.load_state_dict(from_dinov2(file))
    assert_close(twin(x), model(x))


def test_gated_mlps_of_the_giant_model() -> None:
    model, x = small_dinov2(swiglu=True, mlp_ratio=2.5), torch.randn(2, 5, 64)
    state = timm(model, ("cls_token", "register_tokens"), counts=(1, 4))
    file = {n: v for n, v in state.items() if ".mlp." not in n}
    for block in range(2):
        mlp = model.blocks[block].mlp
        file[f"blocks.{block}.mlp.w12.weight"] = torch.cat((mlp.fc1_g.weight, mlp.fc1_x.weight))
        file[f"blocks.{block}.mlp.w12.bias"] = torch.cat((mlp.fc1_g.bias, mlp.fc1_x.bias))
        file[f"blocks.{block}.mlp.w3.weight"] = mlp.fc2.weight
        file[f"blocks.{block}.mlp.w3.bias"] = mlp.fc2.bias
    twin = dinov2(**dinov2_sizes(file)).eval()
    twin.load_state_dict(from_dinov2(file))
    first, second = (x @ file["blocks.0.mlp.w12.weight"].T + file["blocks.0.mlp.w12.bias"]).chunk(
        2, dim=-1
    )
    gated = first * first.sigmoid() * second
    assert_close(
        twin.blocks[0].mlp(x),
        gated @ file["blocks.0.mlp.w3.weight"].T + file["blocks.0.mlp.w3.bias"],
    )


def small_video_mae() -> VideoMAE:
    encoder = videomae(64, depth=2, num_heads=1, size=(4, 32, 32))
    return randomize(videomae_mae(encoder, dim=64, depth=1, num_heads=1)).float().eval()


def videomae_authors(state: State) -> State:
    """As the authors' code writes it: `qkv` without bias, and biases of queries and values."""
    file = {}
    for name, value in joint(state).items():
        name = name.replace("decoder.pred", "decoder.head")
        if name.endswith("qkv.bias"):
            q, _, v = value.chunk(3)
            stem = name.removesuffix("qkv.bias")
            file |= {f"{stem}q_bias": q, f"{stem}v_bias": v}
        else:
            file[name] = value
    file["encoder_to_decoder.weight"] = file.pop("decoder.embed.weight")
    return file | {"mask_token": file.pop("decoder.mask_token")}


def test_videomae_of_its_authors_needs_no_bias_of_keys() -> None:
    model, video = small_video_mae(), torch.randn(2, 3, 4, 32, 32)
    mask = RandomMask(0.5)((2, 2, 2), batch=2)
    file = videomae_authors(model.state_dict())
    size = (4, 32, 32)
    twin = videomae_mae(videomae(**videomae_sizes(file, size=size)), **videomae_mae_sizes(file))
    twin.load_state_dict(from_videomae_mae(file))
    assert not twin.encoder.blocks[0].attn.kv.bias[:64].any()
    out, wanted = twin.eval()(video, mask=mask), model(video, mask=mask)
    assert_close(out.pred_image, wanted.pred_image, atol=1e-4, rtol=1e-4)
    alone = videomae(**videomae_sizes(file, size=size)).eval()
    alone.load_state_dict(from_videomae(file))
    assert_close(alone(video), model.encoder(video), atol=1e-4, rtol=1e-4)


def test_fine_tuned_videomae_has_no_final_norm() -> None:
    state = {
        n: v for n, v in joint(small_video_mae().encoder.state_dict()).items() if "norm." not in n
    }
    file = state | {"fc_norm.weight": torch.zeros(64), "head.weight": torch.zeros(7, 64)}
    sizes = videomae_sizes(file | {"blocks.1.norm1.weight": torch.zeros(64)}, size=(4, 32, 32))
    assert sizes["final_norm"] is False
    assert isinstance(videomae(**sizes).norm, nn.Identity)


def test_what_a_file_does_not_say_is_asked_for() -> None:
    model = small_ast()
    file = timm(model, ("cls_token", "dist_token"), counts=(1, 1))
    with pytest.raises(ValueError, match="positions must be a multiple of the 12 rows of 128 mels"):
        ast_sizes(file)
    narrow = {n: v[:32] if n.startswith("patch_embed") else v for n, v in file.items()}
    with pytest.raises(ValueError, match=r"num_heads must be given.*width of 32"):
        ast_sizes(narrow, mels=48)


def test_heads_of_published_widths() -> None:
    """Those of timm 1.0.31 (tiny to ViT-G, so400m, DINOv2-g) and of VideoMAE V2-g."""
    heads = {192: 3, 384: 6, 768: 12, 1024: 16, 1152: 16, 1280: 16, 1408: 16, 1536: 24, 1664: 16}
    assert {width: heads_of(width) for width in heads} == heads
