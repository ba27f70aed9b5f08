"""Against tensors of the reference implementation: ``AVBLOCKS_GOLDEN=DIR`` takes another folder.

Every file of a known form in the folder is read, the model built from the file's own ``config``.
A form is known by the beginning of the file's name: ``mae_*`` and ``small*`` so far. The heads'
(``classifier*``, ``separation*``, ``segmentation*``) come with their tasks, each as a test of its
own that asks `golden_files` for its form.
"""

import json
import os
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch import Tensor
from torch.func import functional_call
from torch.testing import assert_close

from avblocks import AVMAE, AVEncoder, Mask, av_mae, fusion_block, sincos_position, vit
from avblocks.audio import LogMel, pad_repeat
from avblocks.checkpoint import from_deepavfusion, load_weights
from avblocks.optim import cosine_lr, pretrained_multiplier

GOLDEN = Path(os.environ.get("AVBLOCKS_GOLDEN", Path(__file__).parent / "golden"))
FUSIONS = {"factorized_mmi": "factorized", "dense_mmi": "dense", "token": "token"}


def golden_files(form: str) -> list:
    """One parameter a file of the form, or a visible skip where the folder has none."""
    files = sorted(GOLDEN.glob(f"{form}*.safetensors"))
    if not files:
        return [pytest.param(None, marks=pytest.mark.skip(f"no {form}* in {GOLDEN}"), id=form)]
    return [pytest.param(file, id=file.stem) for file in files]


def read(file: Path) -> tuple[dict[str, Tensor], dict]:
    with safe_open(file, framework="pt") as tensors:
        content = {name: tensors.get_tensor(name) for name in tensors.keys()}  # noqa: SIM118
        return content, json.loads((tensors.metadata() or {}).get("config", "{}"))


def part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def assert_near(actual: Tensor, expected: Tensor) -> None:
    assert_close(actual, expected, rtol=1e-4, atol=1e-5)


def fusion_layers(config: dict) -> str | list[int]:
    layers = str(config["fusion_layers"])
    return layers if layers in ("all", "none") else [int(layer) for layer in layers.split("-")]


def build(config: dict) -> AVMAE:
    """The model of a file; the reference runs the layers of its shallower ViT only."""
    depth = min(config["image_depth"], config["audio_depth"])
    layers = fusion_layers(config)
    kept = range(depth) if layers == "all" else () if layers == "none" else layers
    eps = config["layer_norm_eps"]
    stream = partial(
        vit,
        config["dim"],
        depth=depth,
        num_heads=config["heads"],
        patch=config["patch"],
        norm_eps=eps["vit"],
    )
    block = partial(
        fusion_block,
        config["dim"],
        fusion=FUSIONS[config["fusion"]],
        num_heads=config["fusion_heads"],
        num_tokens=tuple(config["fusion_tokens"]),
        attn_ratio=config["attn_ratio"],
        mlp_ratio=config["mlp_ratio"],
    )
    sizes = {"image_size": tuple(config["image_size"]), "audio_size": tuple(config["audio_size"])}
    encoder = AVEncoder(
        image=stream(size=sizes["image_size"]),
        audio=stream(size=sizes["audio_size"], channels=1),
        fusion=[block() if layer in kept else None for layer in range(depth)],
        num_tokens=sum(config["fusion_tokens"]),
    )
    model = av_mae(
        encoder,
        dim=config["decoder_dim"],
        depth=config["decoder_depth"],
        num_heads=config["decoder_heads"],
        normalize_targets=config["norm_loss"],
    )
    norms = {n: m.eps for n, m in model.named_modules() if isinstance(m, torch.nn.LayerNorm)}
    for name, value in norms.items():
        kind = "fusion" if ".fusion_" in name else "vit" if "encoder." in name else "decoder"
        assert value == eps[kind], name
    return model


def masks(tensors: dict[str, Tensor]) -> dict[str, Mask]:
    made = {}
    for modality in ("image", "audio"):
        restore = tensors[f"mask.{modality}.ids_restore"]
        keep = tensors[f"mask.{modality}.ids_keep"]
        mask = Mask.from_order(restore.argsort(dim=1), num_kept=keep.shape[1])
        assert torch.equal(mask.ids_keep, keep)
        assert torch.equal(mask.ids_restore, restore)
        assert torch.equal(mask.is_masked, tensors[f"mask.{modality}.mask"].bool())
        made[f"{modality}_mask"] = mask
    return made


def loaded(file: Path) -> tuple[AVMAE, dict[str, Tensor], dict]:
    tensors, config = read(file)
    model = build(config).eval()
    load_weights(model, from_deepavfusion(part(tensors, "state.")), strict=True)
    return model, tensors, config


@pytest.mark.parametrize("file", golden_files("mae_"))
def test_encoder(file: Path) -> None:
    model, tensors, _ = loaded(file)
    inputs = part(tensors, "input.")
    with torch.no_grad():
        full = model.encoder(**inputs)
        layers = model.encoder.intermediates(**inputs)
        masked = model.encoder(**inputs, **masks(tensors))
    for modality in ("image", "audio", "fusion"):
        assert_near(getattr(full, modality), tensors[f"full.{modality}"])
        assert_near(getattr(masked, modality), tensors[f"masked.{modality}"])
        for i, layer in enumerate(layers):
            assert_near(getattr(layer, modality), tensors[f"full.layer{i}.{modality}"])


@pytest.mark.parametrize("file", golden_files("mae_"))
def test_losses_and_predictions(file: Path) -> None:
    model, tensors, _ = loaded(file)
    with torch.no_grad():
        out = model(**part(tensors, "input."), **masks(tensors))
    for modality, mask in masks(tensors).items():
        modality = modality.removesuffix("_mask")
        assert_near(getattr(out, f"loss_{modality}"), tensors[f"mae.loss_{modality}"])
        # The reference predicts the kept patches too, and its loss then leaves them out.
        assert_near(getattr(out, f"pred_{modality}"), mask.masked(tensors[f"mae.pred_{modality}"]))


@pytest.mark.parametrize("file", golden_files("mae_"))
def test_gradients(file: Path) -> None:
    """Through the importer, which is differentiable, so that gradients arrive by reference name."""
    tensors, config = read(file)
    reference = {k: v.requires_grad_() for k, v in part(tensors, "state.").items()}
    weights = from_deepavfusion(reference)
    out = functional_call(
        build(config), weights.state, kwargs=part(tensors, "input.") | masks(tensors)
    )
    out.loss.backward()
    expected = part(tensors, "gradnorm.")
    checked = {k for k in expected if k not in weights.dropped}
    assert len(checked) > 0.9 * len(expected) and set(expected) <= set(reference)
    for name in checked:
        grad = reference[name].grad
        norm = torch.zeros(()) if grad is None else grad.norm()
        # The keys' biases cancel: the reference's gradients there are rounding errors.
        assert_close(norm, expected[name].to(norm).reshape(()), rtol=1e-3, atol=1e-6, msg=name)
    for name, gradient in part(tensors, "grad.").items():
        assert_near(reference[name].grad, gradient)


@pytest.mark.parametrize("file", golden_files("mae_"))
def test_a_tensor_changed_by_one_percent_is_noticed(file: Path) -> None:
    model, tensors, _ = loaded(file)
    with torch.no_grad():
        out = model.encoder(**part(tensors, "input."))
    with pytest.raises(AssertionError):
        assert_near(out.fusion, tensors["full.fusion"] * 1.01)
    with pytest.raises(AssertionError):
        assert_near(out.image, tensors["full.image"] * 0.99)


@pytest.mark.parametrize("file", golden_files("small"))
def test_positions(file: Path) -> None:
    tensors, _ = read(file)
    tables = {k: v for k, v in tensors.items() if k.startswith("pos")}
    assert tables
    for name, table in tables.items():
        _, dim, size = name.split(".")
        grid = tuple(int(side) for side in size.split("x"))
        assert_near(sincos_position(int(dim), grid), table)


@pytest.mark.parametrize("file", golden_files("small"))
def test_audio(file: Path) -> None:
    tensors, _ = read(file)
    assert_near(pad_repeat(tensors["audio.wave"], 16000), tensors["audio.padded"])
    assert_near(LogMel()(tensors["audio.padded"]).squeeze(1), tensors["audio.logmel"])


@pytest.mark.parametrize("file", golden_files("small"))
def test_schedule(file: Path) -> None:
    tensors, _ = read(file)
    for epoch, expected in zip(tensors["sched.epoch"], tensors["sched.lr"], strict=True):
        lr = cosine_lr(epoch.item(), lr=1.5e-4, epochs=200, warmup=40)
        scale = pretrained_multiplier(epoch.item(), epochs=100)
        ours = torch.tensor([lr, 0.5 * lr, scale * lr], dtype=torch.float64)
        assert_close(ours, expected, rtol=1e-6, atol=1e-12)
