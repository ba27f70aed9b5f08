"""Encoder and masked autoencoder against the reference's tensors: ``mae_*.safetensors``."""

from pathlib import Path

import pytest
import torch
from golden import assert_near, build, golden_files, part, read
from torch import Tensor
from torch.func import functional_call

from avblocks import AVMAE, Mask
from avblocks.checkpoint import from_deepavfusion, load_weights


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
        whole, kept = f"{modality} tokens, whole clips", f"{modality} tokens, kept patches"
        assert_near(getattr(full, modality), tensors[f"full.{modality}"], whole)
        assert_near(getattr(masked, modality), tensors[f"masked.{modality}"], kept)
        for i, layer in enumerate(layers):
            expected = tensors[f"full.layer{i}.{modality}"]
            assert_near(getattr(layer, modality), expected, f"{modality} tokens, each layer")


@pytest.mark.parametrize("file", golden_files("mae_"))
def test_losses_and_predictions(file: Path) -> None:
    model, tensors, _ = loaded(file)
    with torch.no_grad():
        out = model(**part(tensors, "input."), **masks(tensors))
    for modality, mask in masks(tensors).items():
        modality = modality.removesuffix("_mask")
        loss, expected = getattr(out, f"loss_{modality}"), tensors[f"mae.loss_{modality}"]
        assert_near(loss, expected, f"loss, {modality}")
        # The reference predicts the kept patches too, and its loss then leaves them out.
        expected = mask.masked(tensors[f"mae.pred_{modality}"])
        assert_near(getattr(out, f"pred_{modality}"), expected, f"predictions, {modality}")


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
    assert {"image_decoder_pos_embed", "audio_decoder_pos_embed"} <= checked  # trained there
    for name in checked:
        grad = reference[name].grad
        norm = torch.zeros(()) if grad is None else grad.norm()
        # The keys' biases cancel: the reference's gradients there are rounding errors.
        wanted = expected[name].to(norm).reshape(())
        assert_near(norm, wanted, "norms of all gradients", rtol=1e-3, atol=1e-6, msg=name)
    for name, gradient in part(tensors, "grad.").items():
        assert_near(reference[name].grad, gradient, "three whole gradients")


@pytest.mark.parametrize("file", golden_files("mae_"))
def test_a_tensor_changed_by_one_percent_is_noticed(file: Path) -> None:
    model, tensors, _ = loaded(file)
    with torch.no_grad():
        out = model.encoder(**part(tensors, "input."))
    with pytest.raises(AssertionError):
        assert_near(out.fusion, tensors["full.fusion"] * 1.01)
    with pytest.raises(AssertionError):
        assert_near(out.image, tensors["full.image"] * 0.99)
