"""Tensors of another batch raise an error that names them: none is broadcast."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from avblocks import Attention, av_vit, masked_mse
from avblocks.data import Mixup
from avblocks.data.crop import crop_images, crop_masks
from avblocks.data.transforms import apply_gain, flip_images, jitter_color
from avblocks.heads import binary_mask, dominant_mask, ratio_mask
from avblocks.heads.pool import AttentivePool, MeanPool, mean_std_tokens, mean_tokens
from avblocks.metrics import si_sdr
from avblocks.nn.dot_product import attend, attention_weights
from avblocks.viz import mask_overlay, outline, overlay

pytestmark = pytest.mark.usefixtures("unchecked")
IMAGE, BINS, TOKENS = (3, 3, 8, 8), (3, 1, 8, 6), (3, 4, 8)
BOX, VALID = torch.tensor([[0.0, 0.0, 4.0, 4.0]]).expand(3, 4), torch.ones(3, 4) > 0
BYTES = torch.zeros(3, 8, 8, dtype=torch.uint8)


def rand(*shape: int) -> Tensor:
    return torch.rand(shape)


CALLS: list[tuple[Callable[..., Any], dict[str, Tensor]]] = [
    (si_sdr, {"estimates": rand(3, 2, 9), "sources": rand(3, 2, 9)}),
    (ratio_mask, {"mixture": rand(*BINS), "source": rand(*BINS)}),
    (binary_mask, {"mixture": rand(*BINS), "source": rand(*BINS)}),
    (dominant_mask, {"mixture": rand(*BINS), "source": rand(*BINS)}),
    (overlay, {"image": rand(*IMAGE), "maps": rand(3, 8, 8)}),
    (mask_overlay, {"image": rand(*IMAGE), "mask": BYTES}),
    (outline, {"image": rand(*IMAGE), "region": BYTES > 0}),
    (partial(crop_images, size=4), {"image": rand(*IMAGE), "box": BOX}),
    (partial(crop_masks, size=4), {"mask": BYTES, "box": BOX}),
    (flip_images, {"image": rand(*IMAGE), "flip": rand(3) > 0.5}),
    (apply_gain, {"audio": rand(3, 9), "gain": rand(3)}),
    (mean_tokens, {"tokens": rand(*TOKENS), "valid": VALID}),
    (mean_std_tokens, {"tokens": rand(*TOKENS), "valid": VALID}),
    (
        partial(attention_weights, num_heads=2),
        dict.fromkeys("qk", rand(*TOKENS)) | {"valid": VALID},
    ),
    (partial(attend, num_heads=2), dict.fromkeys("qkv", rand(*TOKENS)) | {"valid": VALID}),
    (masked_mse, {"pred": rand(*TOKENS), "target": rand(*TOKENS), "valid": VALID}),
    (
        partial(Mixup(), image=None, audio=None, lam=rand(3)),
        {"target": rand(3, 2), "partner": torch.tensor([2, 1, 0])},
    ),
]
CASES = [
    pytest.param(call, given, name, id=f"{number}-{name}")
    for number, (call, given) in enumerate(CALLS)
    for name in given
]


def called(call: Callable[..., Any], given: dict[str, Tensor]) -> Any:
    """By keyword where that is the only way, by position otherwise."""
    positional = "mixture" in given or "tokens" in given or "image" in given
    return call(*given.values()) if positional and call is not si_sdr else call(**given)


@pytest.mark.parametrize(("call", "given", "name"), CASES)
def test_a_batch_of_one_beside_three(
    call: Callable[..., Any], given: dict[str, Tensor], name: str
) -> None:
    called(call, given)
    for count in (1, 2):
        with pytest.raises(ValueError, match=r"must (be|have)"):
            called(call, given | {name: given[name][:count]})


def test_a_generator_for_each_image() -> None:
    with pytest.raises(ValueError, match="generators must be one for each of 3, got 1"):
        jitter_color(rand(*IMAGE), strength=0.5, generators=[torch.Generator()])


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.float32], ids=str)
def test_validity_is_boolean(dtype: torch.dtype) -> None:
    """Ones and zeros of floats are what PyTorch's attention adds to its logits."""
    valid, tokens = VALID.to(dtype), rand(*TOKENS)
    calls: list[Callable[..., Any]] = [
        partial(Attention(8, num_heads=2), tokens),
        partial(MeanPool(), tokens),
        partial(AttentivePool(8, num_heads=2), tokens),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=r"valid must be boolean, as valid > 0 is, got torch"):
            call(valid=valid)
    sizes = {"depth": 1, "num_heads": 2, "patch": 8, "image_size": 16, "audio_size": (16, 16)}
    for embed in ("linear", "conv"):
        encoder = av_vit(16, image_embed=embed, **sizes)
        given = {"image": rand(3, 3, 16, 16), "audio": rand(3, 1, 16, 16)}
        for wrong in ({"image_valid": valid}, {"audio_valid": valid[:, 0]}):
            with pytest.raises(ValueError, match="valid must be boolean"):
                encoder(**given, **wrong)
