"""One door to all files: each kind is told from the others and built of the file's own sizes."""

from pathlib import Path
from typing import Any

import pytest
import torch
from origins import part
from published import mae_state
from safetensors.torch import load_file, save_file
from slow import plain_vit
from torch.testing import assert_close

from avblocks import AVEncoder, av_vit, sincos_position
from avblocks.checkpoint import save_pretrained
from avblocks.zoo import load

GOLDEN = Path(__file__).parents[1] / "golden/zoo"
HEADS = {"num_heads": 4}
BOTH = HEADS | {"decoder_heads": 4}
FILES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "cavmae": ("cavmae", "pretrain.state.", BOTH),
    "cavmae_classifier": ("cavmae", "finetune.state.", HEADS),
    "cavmae_sync": ("cavmae_sync", "state.", HEADS),
    "crossmae": ("crossmae", "state.", BOTH),
    "ast": ("ast", "state.", HEADS | {"mels": 48}),
    "dinov2": ("dinov2_registers", "state.", HEADS),
    "mbt": ("mbt", "token.bottleneck.state.", {"mels": 32, "image_size": 32, "fusion_layer": 1}),
    "videomae": ("videomae", "encoder.state.", HEADS),
    "videomae_mae": ("videomae", "pretrain.state.", BOTH),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_published_file_is_told_and_built(kind: str, tmp_path: Path) -> None:
    name, prefix, known = FILES[kind]
    state = part(load_file(GOLDEN / f"{name}.safetensors"), prefix)
    save_file(state, tmp_path / "file.safetensors")
    loaded = load(tmp_path / "file.safetensors", **known)
    assert loaded.kind == kind and not loaded.model.training
    assert loaded.report.missing == loaded.report.unused == ()
    read = sum(x.numel() for n, x in state.items() if n not in loaded.report.dropped)
    held = sum(x.numel() for x in loaded.model.state_dict().values())
    assert abs(read - held) < 100  # class tokens have positions, and keys of ours always biases


@pytest.mark.parametrize("name", ["rope.freqs_cos", "temporal_embed", "rel_pos_bias.table"])
@pytest.mark.parametrize("kind", FILES)
def test_what_a_kind_does_not_compute_with_is_refused(kind: str, name: str, tmp_path: Path) -> None:
    file, prefix, known = FILES[kind]
    state = part(load_file(GOLDEN / f"{file}.safetensors"), prefix)
    save_file(state | {name: torch.ones(2)}, tmp_path / "file.safetensors")
    with pytest.raises(ValueError, match=rf"{kind}: .*{name}"):
        load(tmp_path / "file.safetensors", **known)
    loaded = load(tmp_path / "file.safetensors", allow=(name,), **known)
    assert name in (*loaded.report.dropped, *loaded.report.unused)


def test_one_of_another_kind_is_refused(tmp_path: Path) -> None:
    save_file({"lstm.weight": torch.ones(2)}, tmp_path / "file.safetensors")
    with pytest.raises(ValueError, match="no known kind, with names such as"):
        load(tmp_path / "file.safetensors")


def test_heads_of_an_unusual_width_are_asked_for(tmp_path: Path) -> None:
    state = part(load_file(GOLDEN / "cavmae_sync.safetensors"), "state.")
    save_file(state, tmp_path / "file.safetensors")
    with pytest.raises(ValueError, match="cavmae_sync: num_heads must be given"):
        load(tmp_path / "file.safetensors")


def test_mae_is_whole(tmp_path: Path) -> None:
    state, image = mae_state(channels=3, patches=4), torch.rand(2, 3, 32, 32)
    torch.save({"model": state, "epoch": 3}, tmp_path / "mae.pth")
    loaded = load(tmp_path / "mae.pth", num_heads=2)
    assert loaded.kind == "mae"
    assert set(loaded.report.dropped) == {"mask_token", "decoder_embed.weight", "decoder_pos_embed"}
    with torch.no_grad():
        assert_close(loaded.model(image), plain_vit(state, image, heads=2), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("fine_tuned", [False, True])
def test_audiomae_is_whole_and_turned(tmp_path: Path, fine_tuned: bool) -> None:
    state, audio = mae_state(channels=1, patches=24), torch.rand(2, 1, 48, 128)
    if fine_tuned:
        state = {n.replace("norm.", "fc_norm.") if n[0] == "n" else n: x for n, x in state.items()}
    torch.save({"model": state}, tmp_path / "audiomae.pth")
    model = load(tmp_path / "audiomae.pth", num_heads=2).model
    theirs = plain_vit(state, audio, heads=2)
    with torch.no_grad():
        ours = model(audio.transpose(2, 3))
    turned = theirs[:, 1:].unflatten(1, (3, 8)).transpose(1, 2).flatten(1, 2)
    assert_close(ours, torch.cat((theirs[:, :1], turned), dim=1), rtol=1e-4, atol=1e-5)


def test_fixed_positions_are_computed_for_any_length(tmp_path: Path) -> None:
    """AudioMAE computes its positions for the length at hand: they are not interpolated."""
    tables = {n: sincos_position(16, (n, 8)) for n in (3, 5)}
    state = mae_state(channels=1, patches=24)
    files = {
        n: state | {"pos_embed": torch.cat((torch.zeros(1, 16), t))[None]}
        for n, t in tables.items()
    }
    torch.save({"model": files[3]}, tmp_path / "audiomae.pth")
    model, audio = load(tmp_path / "audiomae.pth", num_heads=2).model, torch.rand(1, 1, 80, 128)
    theirs = plain_vit(files[5], audio, heads=2)
    with torch.no_grad():
        ours = model(audio.transpose(2, 3))
    turned = theirs[:, 1:].unflatten(1, (5, 8)).transpose(1, 2).flatten(1, 2)
    assert_close(ours[:, 1:], turned, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("channels", [1, 3])
def test_fixed_positions_show_the_grid(channels: int, dtype: torch.dtype, tmp_path: Path) -> None:
    """64 mel bins, which a table of 16 positions does not tell from 128, or an oblong image."""
    table = torch.cat((torch.zeros(1, 16), sincos_position(16, (4, 4 if channels == 1 else 2))))
    state = mae_state(channels=channels, patches=len(table) - 1) | {"pos_embed": table[None]}
    torch.save({n: x.to(dtype) for n, x in state.items()}, tmp_path / "mae.pth")
    model = load(tmp_path / "mae.pth", num_heads=2).model.float()
    given = torch.rand(2, channels, 64, 64 if channels == 1 else 32)
    rounded = {n: x.to(dtype).float() for n, x in state.items()} | {"pos_embed": table[None]}
    theirs = plain_vit(rounded, given, heads=2)
    with torch.no_grad():
        ours = model(given.transpose(2, 3) if channels == 1 else given)
    if channels == 1:
        turned = theirs[:, 1:].unflatten(1, (4, 4)).transpose(1, 2).flatten(1, 2)
        theirs = torch.cat((theirs[:, :1], turned), dim=1)
    assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_learned_positions_without_one_of_the_class_token(tmp_path: Path) -> None:
    state = mae_state(channels=3, patches=15)  # 16 positions, of 4x4 patches
    torch.save(state, tmp_path / "vit.pth")
    with pytest.raises(ValueError, match="of a square image and a class token"):
        load(tmp_path / "vit.pth", num_heads=2)


@pytest.mark.parametrize("fusion", ["token", "dense", "factorized"])
def test_our_own_encoders_and_the_papers(fusion: Any, tmp_path: Path) -> None:
    sizes = {"image_size": 32, "audio_size": (32, 48), "fusion": fusion, "fusion_layers": [0, 2]}
    encoder = av_vit(64, depth=(3, 2), num_heads=1, attn_ratio=0.5, mlp_ratio=2.0, **sizes).eval()
    save_pretrained(encoder, tmp_path / "folder")
    save_file(encoder.state_dict(), tmp_path / "bare.safetensors")
    inputs = {"image": torch.rand(1, 3, 32, 32), "audio": torch.rand(1, 1, 32, 48)}
    for path in (tmp_path / "folder", tmp_path / "bare.safetensors"):
        loaded = load(path)
        assert loaded.kind == "avblocks" and isinstance(loaded.encoder, AVEncoder)
        assert_close(loaded.encoder(**inputs).fusion, encoder(**inputs).fusion)


def test_a_distilled_image_vit_is_built_whole(tmp_path: Path) -> None:
    """DeiT's names, and its plain formula: class and distillation token before the patches."""
    torch.manual_seed(0)
    state = mae_state(channels=3, patches=16, dim=32)
    state |= {"dist_token": torch.randn(1, 1, 32), "pos_embed": torch.randn(1, 18, 32)}
    torch.save({"model": state}, tmp_path / "deit.pth")
    loaded = load(tmp_path / "deit.pth", num_heads=2)
    image = torch.randn(2, 3, 64, 64)
    kernel, bias = state["patch_embed.proj.weight"], state["patch_embed.proj.bias"]
    patches = torch.nn.functional.conv2d(image, kernel, bias, stride=16).flatten(2).transpose(1, 2)
    first = torch.cat((state["cls_token"], state["dist_token"]), dim=1).expand(2, -1, -1)
    wanted = torch.cat((first, patches), dim=1) + state["pos_embed"]
    with torch.no_grad():
        assert_close(loaded.encoder.embed(image), wanted, rtol=1e-4, atol=1e-5)
    assert loaded.encoder.norm.eps == 1e-6
    assert loaded.kind == "deit"


def vit_file(path: Path, **others: torch.Tensor) -> Path:
    """A ViT with class token and positions, and what makes it another one."""
    save_file(mae_state(channels=3, patches=16, dim=32) | others, path)
    return path


def test_a_file_is_not_called_what_it_is_not(tmp_path: Path) -> None:
    """With an unusual input or one modality for another, it is of no known kind."""
    distilled = {"dist_token": torch.randn(1, 1, 32), "pos_embed": torch.randn(1, 18, 32)}
    unusual = {"patch_embed.proj.weight": torch.randn(32, 4, 16, 16)}
    flat_with_value_bias = {"blocks.0.attention.value.bias": torch.randn(32)}
    state = mae_state(channels=3, patches=16, dim=32)
    beit = {n: x for n, x in state.items() if "pos_embed" not in n} | flat_with_value_bias
    save_file(beit, tmp_path / "beit.safetensors")
    files = {
        "distilled": (distilled | unusual, "(32, 4, 16, 16)"),
        "plain": (unusual, "(32, 4, 16, 16)"),
        "video": ({"patch_embed.proj.weight": torch.randn(32, 3, 2, 16, 16)}, "video"),
        "beit": (None, "image"),
    }
    for name, (others, inputs) in files.items():
        path = tmp_path / f"{name}.safetensors"
        if others is not None:
            vit_file(path, **others)
        with pytest.raises(ValueError, match="no known kind") as info:
            load(path, num_heads=2)
        said = str(info.value)
        assert f" and {inputs} patches; known are avblocks_joint, " in said
        assert "names as in" not in said and "\n" not in said


def test_a_distilled_image_vit_with_other_parts_is_refused_as_one(tmp_path: Path) -> None:
    distilled = {"dist_token": torch.randn(1, 1, 32), "pos_embed": torch.randn(1, 18, 32)}
    path = vit_file(tmp_path / "x.safetensors", **distilled, **{"rope.freqs": torch.ones(2)})
    with pytest.raises(ValueError, match=r"x.safetensors has names as in deit: .*rope.freqs"):
        load(path, num_heads=2)
    del distilled["pos_embed"]
    path = vit_file(path, **distilled)
    with pytest.raises(ValueError, match=r"names as in deit: positions must be a square number"):
        load(path, num_heads=2)
