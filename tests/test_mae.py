import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from avblocks import (
    AVMAE,
    MAEOutput,
    Mask,
    RandomMask,
    av_mae,
    av_vit,
    masked_mse,
    patchify,
    reconstruct,
)

SIZES = {"image_size": 8, "audio_size": (8, 12)}


def make(*, normalize_targets: bool = True, **changes: object) -> AVMAE:
    numbers = {"depth": 2, "num_heads": 2, "patch": 4, "num_tokens": (2, 1, 1), "attn_ratio": 0.5}
    encoder = av_vit(8, **SIZES, **(numbers | changes))
    decoders = {"dim": 8, "depth": 2, "num_heads": 2, "normalize_targets": normalize_targets}
    return av_mae(encoder, **decoders)


def inputs(dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    return {
        "image": torch.randn(2, 3, 8, 8, dtype=dtype),
        "audio": torch.randn(2, 1, 8, 12, dtype=dtype),
    }


def masks() -> dict[str, Mask]:
    return {
        "image_mask": RandomMask(0.5)((2, 2), batch=2),
        "audio_mask": RandomMask(0.8)((2, 3), batch=2),
    }


def slow_loss(pred: Tensor, target: Tensor, *, normalize: bool) -> Tensor:
    """A value at a time."""
    squares = []
    for b in range(len(target)):
        for u, values in enumerate(target[b]):
            mean, scale = 0.0, 1.0
            if normalize:
                mean = values.sum() / len(values)
                scale = (((values - mean) ** 2).sum() / (len(values) - 1) + 1e-6) ** 0.5
            squares += [
                (p - (v - mean) / scale) ** 2 for p, v in zip(pred[b, u], values, strict=True)
            ]
    return torch.stack(squares).mean()


@given(st.integers(1, 3), st.integers(1, 4), st.integers(2, 6), st.booleans())
def test_masked_mse_is_the_formula(b: int, u: int, v: int, normalize: bool) -> None:
    pred, target = torch.randn(2, b, u, v, dtype=torch.float64)
    wanted = slow_loss(pred, target, normalize=normalize)
    assert_close(masked_mse(pred, target, normalize=normalize), wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("normalize", [True, False])
def test_losses_are_those_of_the_masked_patches(normalize: bool) -> None:
    model, given_all, hidden = make(normalize_targets=normalize), inputs(), masks()
    out = model(**given_all, **hidden)
    for name in ("image", "audio"):
        patches = patchify(given_all[name], patch=(4, 4))
        ids = hidden[f"{name}_mask"].ids_masked
        target = torch.stack([patches[b, ids[b]] for b in range(2)])
        wanted = slow_loss(getattr(out, f"pred_{name}"), target, normalize=normalize)
        assert_close(getattr(out, f"loss_{name}"), wanted)
    assert_close(out.loss, out.loss_image + out.loss_audio)


@pytest.mark.parametrize("fusion", ["token", "dense", "factorized"])
@pytest.mark.parametrize("changes", [{}, {"fusion_layers": "none"}, {"depth": (1, 2)}], ids=str)
def test_every_parameter_has_a_gradient(fusion: str, changes: dict) -> None:
    """Else data parallelism stops, for want of `find_unused_parameters`."""
    model = make(fusion=fusion, **changes)
    model(**inputs(), **masks()).loss.backward()
    without = [name for name, p in model.named_parameters() if p.grad is None]
    # What the last fusion block writes is read by the decoders, and all others by the next layer.
    assert not without


def test_order_of_the_batch() -> None:
    model, given_all, hidden = make(), inputs(), masks()
    out = model(**given_all, **hidden)
    flipped = {name: x.flip(0) for name, x in given_all.items()}
    turned = {n: Mask(m.ids_keep.flip(0), m.ids_masked.flip(0)) for n, m in hidden.items()}
    assert_close(model(**flipped, **turned).pred_image, out.pred_image.flip(0))


@given(st.booleans())
def test_a_perfect_prediction_reconstructs_the_input(normalized: bool) -> None:
    x, mask = torch.randn(2, 3, 8, 12, dtype=torch.float64), RandomMask(0.5)((2, 3), batch=2)
    target = mask.masked(patchify(x, patch=(4, 4)))
    if normalized:
        scale = (target.var(dim=2, keepdim=True) + 1e-6).sqrt()
        target = (target - target.mean(dim=2, keepdim=True)) / scale
    out = reconstruct(x, target, mask=mask, patch=(4, 4), normalized=normalized)
    assert_close(out.reconstructed, x)
    patches = patchify(out.masked, patch=(4, 4))
    assert mask.masked(patches).isnan().all()
    assert torch.equal(mask.kept(patches), mask.kept(patchify(x, patch=(4, 4))))


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("shape", [(2, 1, 48), (1, 3, 48), (2, 3, 1), (3, 48)])
def test_nothing_broadcasts(shape: tuple[int, ...]) -> None:
    mask, x = RandomMask(0.5)((2, 3), batch=2), torch.zeros(2, 3, 8, 12)
    for normalized in (True, False):
        with pytest.raises(ValueError, match="pred must have shape"):
            reconstruct(x, torch.zeros(shape), mask=mask, patch=(4, 4), normalized=normalized)
        with pytest.raises(ValueError, match="pred must have shape"):
            masked_mse(torch.zeros(shape), torch.zeros(2, 3, 48), normalize=normalized)
    with pytest.raises(ValueError, match="target must have shape"):
        masked_mse(torch.zeros(3, 48), torch.zeros(3, 48))


@pytest.mark.usefixtures("unchecked")
def test_masks_that_do_not_fit() -> None:
    swapped = masks()
    swapped = {"image_mask": swapped["audio_mask"], "audio_mask": swapped["image_mask"]}
    with pytest.raises(ValueError, match="mask must be over the input's 4 patches, got 6"):
        make()(**inputs(), **swapped)


def test_autocast_and_float64_agree_with_float32() -> None:
    model, given_all, hidden = make(), inputs(), masks()
    plain = model(**given_all, **hidden)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = model(**given_all, **hidden)
    assert mixed.pred_image.dtype == torch.bfloat16 and mixed.loss.dtype == torch.float32
    assert_close(mixed.loss, plain.loss, rtol=0.02, atol=0)
    mixed.loss.backward()
    double = model.double()(**{n: x.double() for n, x in given_all.items()}, **hidden)
    assert_close(double.loss.float(), plain.loss)


@pytest.mark.usefixtures("unchecked")
def test_compiles_as_one_graph() -> None:
    model, given_all, hidden = make(depth=1), inputs(), masks()
    # `test_checkpointing.py` compiles the backward pass as well.
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    out = compiled(**given_all, **hidden)
    assert_close(out.loss, model(**given_all, **hidden).loss)
    out.loss.backward()
    assert isinstance(out, MAEOutput)
    torch._dynamo.reset()


@pytest.mark.usefixtures("unchecked")
def test_one_graph_serves_all_batch_sizes() -> None:
    """No check formats a size: `mark_dynamic` raises where a graph fixes one."""
    model, given_all, hidden = make(depth=1), inputs(), masks()
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    model(**given_all, **hidden)  # einops keeps what it has seen, which a graph would guard
    for b in (3, 5):
        image, audio = torch.randn(b, 3, 8, 8), torch.randn(b, 1, 8, 12)
        seen, heard = RandomMask(0.5)((2, 2), batch=b), RandomMask(0.8)((2, 3), batch=b)
        hidden = {"image_mask": seen, "audio_mask": heard}
        ids = seen.ids_keep, seen.ids_masked, heard.ids_keep, heard.ids_masked
        for x in (image, audio, *ids):
            torch._dynamo.mark_dynamic(x, 0)
        with torch._dynamo.config.patch(error_on_recompile=b > 3):
            out = compiled(image=image, audio=audio, **hidden)
        assert out.pred_image.shape[0] == b
    torch._dynamo.reset()


@pytest.mark.slow
@pytest.mark.usefixtures("unchecked")
def test_compiles_for_real() -> None:
    model, given_all, hidden = make(), inputs(), masks()
    compiled = torch.compile(model, fullgraph=True)
    assert_close(compiled(**given_all, **hidden).loss, model(**given_all, **hidden).loss)
    torch._dynamo.reset()


@pytest.mark.usefixtures("unchecked")
def test_exports() -> None:
    model, given_all, hidden = make(depth=1), inputs(), masks()
    program = torch.export.export(model, (), given_all | hidden)
    out = program.module()(**given_all, **hidden)
    assert_close(out.loss, model(**given_all, **hidden).loss)


def test_decoders_in_the_wrong_place_are_refused() -> None:
    model = av_mae(av_vit(8, depth=1, num_heads=2, patch=4, image_size=8, audio_size=(8, 12)))
    with pytest.raises(ValueError, match="image_decoder"):
        AVMAE(model.encoder, image_decoder=model.audio_decoder, audio_decoder=model.image_decoder)


def test_patches_of_one_value_have_no_deviation() -> None:
    with pytest.raises(ValueError, match="patches must be of two values or more, got 1"):
        masked_mse(torch.zeros(1, 2, 1), torch.zeros(1, 2, 1))
    assert masked_mse(torch.zeros(1, 2, 1), torch.ones(1, 2, 1), normalize=False) == 1
