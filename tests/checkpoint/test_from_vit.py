"""Files with the names and wrappers that MAE, AudioMAE and timm publish, at small sizes."""

from argparse import Namespace
from pathlib import Path

import pytest
import torch
from joint import joint
from published import mae_state
from slow import plain_vit
from torch import Tensor
from torch.testing import assert_close

from avblocks import AVEncoder, ViT, av_vit, resize_position, sincos_position, vit
from avblocks.checkpoint import (
    from_audiomae,
    from_mae,
    from_timm,
    load_encoder,
    load_weights,
    read_state,
)
from avblocks.zoo import load

DIM = 16


def model(size: int | tuple[int, int] = 16, **changes: object) -> ViT:
    return vit(DIM, depth=2, num_heads=2, size=size, patch=4, **changes)


def published(size: int | tuple[int, int] = 16, **changes: object) -> tuple[ViT, dict[str, Tensor]]:
    """A ViT and its weights under its publisher's names, less positions and class token."""
    source = model(size, **changes)
    for parameter in source.parameters():
        torch.nn.init.normal_(parameter)
    state = joint(source.state_dict())
    return source, {name: value for name, value in state.items() if "pos_embed" not in name}


def mae_file(path: Path, state: dict[str, Tensor], grid: tuple[int, int]) -> Path:
    """As MAE's and AudioMAE's pre-training writes it."""
    table = torch.cat((torch.zeros(1, DIM), sincos_position(DIM, grid)))[None]
    decoder = {
        "cls_token": torch.zeros(1, 1, DIM),
        "pos_embed": table,
        "mask_token": torch.zeros(1, 1, 8),
        "decoder_pos_embed": torch.zeros(*table.shape[:2], 8),
        "decoder_embed.weight": torch.zeros(8, DIM),
        "decoder_blocks.0.attn.qkv.weight": torch.zeros(24, 8),
        "decoder_norm.bias": torch.zeros(8),
        "decoder_pred.weight": torch.zeros(48, 8),
    }
    args = Namespace(model="mae_vit_tiny", lr=1e-3, distributed=True)
    torch.save(
        {"model": decoder | state, "optimizer": {"state": {}}, "epoch": 1, "args": args}, path
    )
    return path


def test_mae(tmp_path: Path) -> None:
    source, state = published()
    weights = from_mae(read_state(mae_file(tmp_path / "mae.pth", state, (4, 4))))
    other, x = model(), torch.randn(2, 3, 16, 16)
    report = load_weights(other, weights, strict=True)
    assert set(report.loaded) == set(source.state_dict()) and not report.unused
    assert {"cls_token", "pos_embed", "decoder_pos_embed", "decoder_norm.bias"} <= set(
        report.dropped
    )
    assert torch.equal(other(x), source(x))
    assert load_weights(model((24, 8)), weights, strict=True).loaded


def test_audiomae_as_the_reference_loads_it(tmp_path: Path) -> None:
    source, state = published((8, 24), channels=1)
    weights = from_audiomae(read_state(mae_file(tmp_path / "audio.pth", state, (2, 6))))
    encoder = av_vit(DIM, depth=2, num_heads=2, patch=4, image_size=16, audio_size=(8, 12))
    report = load_weights(encoder.audio, weights, strict=True).prefixed("audio.")
    assert set(report.loaded) <= set(encoder.state_dict())
    x = torch.randn(2, 1, 8, 12)
    assert torch.equal(encoder.audio(x), source(x))


@pytest.mark.parametrize("form", ["pre-trained", "learned positions"])
def test_audiomae_turned_computes_what_it_computed(form: str, tmp_path: Path) -> None:
    """Against the formula of its own layout, in which frames come first, and against the zoo."""
    torch.manual_seed(0)
    frames, mels, dim = 4, 8, 16
    positions = torch.cat((torch.zeros(1, dim), sincos_position(dim, (frames, mels))))
    state = mae_state(channels=1, patches=frames * mels, dim=dim)
    if form != "learned positions":  # else random ones, as after fine-tuning
        state["pos_embed"] = positions[None]
    audio = torch.rand(2, 1, frames * 16, mels * 16)
    theirs = plain_vit(state, audio, heads=2)
    turned = theirs[:, 1:].unflatten(1, (frames, mels)).transpose(1, 2).flatten(1, 2)
    wanted = torch.cat((theirs[:, :1], turned), dim=1)
    learned, sizes = form == "learned positions", {"depth": 2, "num_heads": 2}
    audio_size, numbers = (mels * 16, frames * 16), {"prefix_tokens": 1, "channels": 1}
    stream = vit(dim, size=audio_size, learned_position=learned, **sizes, **numbers)
    weights = from_audiomae(state, turned=True, learned_position=learned)
    load_weights(stream, weights, strict=True)
    with torch.no_grad():
        ours = stream(audio.transpose(2, 3))
        assert_close(ours if learned else ours.roll(dim // 2, 2), wanted, rtol=1e-4, atol=1e-5)
        torch.save(state, tmp_path / "audiomae.pth")
        zoo = load(tmp_path / "audiomae.pth", num_heads=2).model(audio.transpose(2, 3))
    assert_close(zoo, wanted, rtol=1e-4, atol=1e-5)


def test_a_fine_tuned_audiomae_leaves_the_final_norm(tmp_path: Path) -> None:
    _, state = published(channels=1)
    fine = {n: v for n, v in state.items() if not n.startswith("norm.")}
    fine |= {"fc_norm.weight": torch.ones(DIM), "fc_norm.bias": torch.ones(DIM)}
    fine |= {"head.weight": torch.zeros(5, DIM), "head.bias": torch.zeros(5)}
    weights = from_audiomae(read_state(mae_file(tmp_path / "audio.pth", fine, (4, 4))))
    report = load_weights(model(channels=1), weights)
    assert report.missing == ("norm.weight", "norm.bias")
    assert {"fc_norm.weight", "head.bias"} <= set(report.dropped)


def timm_state(state: dict[str, Tensor], table: Tensor, *, tokens: int = 1) -> dict[str, Tensor]:
    """Positions of shape (1, tokens + n, d), class token first, as timm's ViTs have them."""
    front = torch.full((1, tokens, DIM), 99.0)
    head = {"head.weight": torch.zeros(5, DIM), "head.bias": torch.zeros(5)}
    more = {"cls_token": torch.zeros(1, 1, DIM)}
    if tokens > 1:
        more["reg_token"] = torch.zeros(1, tokens - 1, DIM)
    return state | more | head | {"pos_embed": torch.cat((front, table[None]), dim=1)}


@pytest.mark.parametrize("tokens", [1, 5])
@pytest.mark.parametrize("size", [16, (8, 12)], ids=str)
def test_timm(tokens: int, size: int | tuple[int, int]) -> None:
    source, state = published(size, learned_position=True)
    weights = from_timm(timm_state(state, source.pos_embed.table.detach(), tokens=tokens))
    other = model(size, learned_position=True)
    if tokens > 1:
        with pytest.raises(ValueError, match=r"their own computes with: 1 \(reg_token\)"):
            load_weights(other, weights)
    report = load_weights(other, weights, strict=True, allow=("reg_token",))
    assert {"cls_token", "head.weight", "head.bias"} <= set(report.dropped)
    x = torch.randn(2, 3, *((size, size) if isinstance(size, int) else size))
    assert torch.equal(other(x), source(x))


def test_timm_at_a_larger_image() -> None:
    source, state = published(learned_position=True)
    weights = from_timm(timm_state(state, source.pos_embed.table.detach()))
    larger = model((24, 32), learned_position=True)
    assert load_weights(larger, weights, strict=True).reshaped == ("pos_embed.table",)
    wanted = resize_position(source.pos_embed.table, grid=(4, 4), new_grid=(6, 8))
    assert_close(larger.pos_embed.table, wanted)


def test_timm_without_a_position_for_the_class_token() -> None:
    source, state = published(learned_position=True)
    plain = timm_state(state, source.pos_embed.table.detach())
    plain["pos_embed"] = plain["pos_embed"][:, 1:]
    other = model(learned_position=True)
    load_weights(other, from_timm(plain), strict=True)
    assert torch.equal(other.pos_embed.table, source.pos_embed.table)


def test_a_model_of_fixed_positions_says_that_it_has_no_use_for_learned_ones() -> None:
    source, state = published(learned_position=True)
    weights = from_timm(timm_state(state, source.pos_embed.table.detach()))
    with pytest.raises(ValueError, match=r"pos_embed.table: .* trained, and the model's are fixed"):
        load_weights(model(), weights)
    report = load_weights(model(), weights, allow=("pos_embed.table",))
    assert "pos_embed.table" in report.dropped


@pytest.mark.parametrize("prefix", ["encoder.", "model.visual.", "_orig_mod."])
def test_prefixes_are_found(prefix: str) -> None:
    _, state = published()
    weights = from_mae({prefix + name: value for name, value in state.items()})
    assert load_weights(model(), weights, strict=True).loaded


def test_several_vits_need_a_prefix() -> None:
    (_, image), (_, audio) = published(), published(channels=1)
    both = {f"image.{n}": v for n, v in image.items()} | {f"audio.{n}": v for n, v in audio.items()}
    with pytest.raises(ValueError, match=r"one ViT .* found 2: \['image.', 'audio.'\]; give its"):
        from_mae(both)
    weights = from_mae(both, prefix="audio.")
    assert load_weights(model(channels=1), weights, strict=True).loaded
    assert all(name.startswith("image.") for name in weights.dropped)
    with pytest.raises(ValueError, match=r"prefix must be .*, got 'video.'"):
        from_mae(both, prefix="video.")


@pytest.mark.parametrize("convert", [from_mae, from_audiomae, from_timm])
def test_no_vit(convert: object) -> None:
    with pytest.raises(ValueError, match=r"expected one ViT in the file .*, found 0"):
        convert({"conv1.weight": torch.zeros(3, 3)})


@pytest.mark.parametrize(
    "extra", [{"cls_token": 1}, {"cls_token": 1, "reg_token": 4}, {"dist_token": 1}]
)
@pytest.mark.parametrize("of_patches_alone", [False, True])
def test_prefix_tokens_are_filled(extra: dict[str, int], of_patches_alone: bool) -> None:
    """Class token, distillation token and registers, each with its position."""
    extra = {"cls_token": 1} | extra
    count = sum(extra.values())
    _, state = published(learned_position=True)
    tokens = {name: torch.randn(1, n, DIM) for name, n in extra.items()}
    table = torch.randn(1, 16 if of_patches_alone else 16 + count, DIM)
    weights = from_timm(state | tokens | {"pos_embed": table})
    whole = model(learned_position=True, prefix_tokens=count)
    report = load_weights(whole, weights, strict=True)
    assert not set(report.dropped) & set(extra) and "prefix_tokens" in report.loaded
    front = torch.cat(list(tokens.values()), dim=1)
    position = 0.0 if of_patches_alone else table[:, :count]
    assert_close(whole.prefix_tokens, front + position)
    assert_close(whole.pos_embed.table, table[0, -16:])
    with pytest.raises(ValueError, match=r"prefix_tokens: \(1, \d, 16\) in the file, \(1, 9, 16\)"):
        load_weights(model(learned_position=True, prefix_tokens=9), weights)


def test_registers_without_positions() -> None:
    """DINOv2: of the table's rows, the first is the class token's, the rest the patches'."""
    _, state = published(learned_position=True)
    tokens = {"cls_token": torch.randn(1, 1, DIM), "register_tokens": torch.randn(1, 4, DIM)}
    table = torch.randn(1, 17, DIM)
    whole = model(learned_position=True, prefix_tokens=5)
    load_weights(whole, from_timm(state | tokens | {"pos_embed": table}), strict=True)
    assert_close(whole.prefix_tokens[:, 1:], tokens["register_tokens"])
    assert_close(whole.prefix_tokens[:, :1], tokens["cls_token"] + table[:, :1])


def test_maes_class_token_into_one_stream_of_an_encoder(tmp_path: Path) -> None:
    _, state = published()
    path = mae_file(tmp_path / "mae.pth", state, (4, 4))
    content = torch.load(path, weights_only=False)
    content["model"]["cls_token"] = torch.randn(1, 1, DIM)
    torch.save(content, path)
    sizes = {"depth": 2, "num_heads": 2, "patch": 4}
    image = vit(DIM, size=16, prefix_tokens=1, **sizes)
    audio = vit(DIM, size=(8, 12), channels=1, **sizes)
    encoder = AVEncoder(image=image, audio=audio, fusion=[None, None], num_tokens=1)
    report = load_encoder(encoder, read_state(path))
    assert "image.prefix_tokens" in report.loaded and "cls_token" not in report.dropped
    assert_close(image.prefix_tokens, content["model"]["cls_token"])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_fixed_positions_in_half_precision_are_found(dtype: torch.dtype, tmp_path: Path) -> None:
    _, state = published()
    content = torch.load(mae_file(tmp_path / "mae.pth", state, (4, 4)), weights_only=False)
    content["model"] = {name: x.to(dtype) for name, x in content["model"].items()}
    torch.save(content, tmp_path / "half.pth")
    sizes = {"depth": 2, "num_heads": 2, "patch": 4}
    encoder = av_vit(DIM, image_size=16, audio_size=(8, 12), **sizes)
    report = load_encoder(encoder, read_state(tmp_path / "half.pth"))
    assert "pos_embed" in report.dropped and report.loaded


def test_positions_of_a_spectrogram_whose_number_is_a_square() -> None:
    """A class token and 8x28 patches are 225 positions, as 15x15 patches would be."""
    state = mae_state(channels=1, patches=8 * 28)
    found = from_timm(state)
    assert_close(found.state["pos_embed.table"], state["pos_embed"][0, 1:])
    assert_close(
        found.prefix_tokens["prefix_tokens"], state["cls_token"] + state["pos_embed"][:, :1]
    )
