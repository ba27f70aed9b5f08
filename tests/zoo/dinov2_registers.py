"""DINOv2 with registers, against transformers' tensors."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from avblocks.zoo.dinov2 import dinov2, dinov2_sizes, from_dinov2

TOLERANCE = (1e-4, 1e-5)


def compare(
    tensors: dict[str, Tensor], config: dict[str, Any]
) -> Iterator[tuple[str, Tensor, float, float]]:
    """Tokens of images of the usual and of another size."""
    state = {n.removeprefix("state."): x for n, x in tensors.items() if n.startswith("state.")}
    sizes = dinov2_sizes(state, num_heads=config["num_attention_heads"])
    patch = config["patch_size"]
    assert sizes["size"] == (config["image_size"] // patch * patch,) * 2
    assert sizes["registers"] == config["num_register_tokens"]
    model = dinov2(**sizes, norm_eps=config["layer_norm_eps"]).eval()
    model.load_state_dict(from_dinov2(state))
    with torch.no_grad():
        yield "tokens", model(tensors["input.image"]), *TOLERANCE
        yield "tokens_other_size", model(tensors["input.image_other_size"]), *TOLERANCE
