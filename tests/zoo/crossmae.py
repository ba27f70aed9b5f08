"""CrossMAE against its own code's numbers."""

from collections.abc import Iterator
from typing import Any

import torch
from origins import part
from torch import Tensor

from avblocks.checkpoint import load_weights
from avblocks.nn import Mask
from avblocks.zoo.crossmae import crossmae
from avblocks.zoo.crossmae_names import crossmae_sizes, from_crossmae


def compare(
    tensors: dict[str, Tensor], config: dict[str, Any]
) -> Iterator[tuple[str, Tensor, float, float]]:
    """Layers of the encoder and predictions."""
    state = part(tensors, "state.")
    heads = {"num_heads": config["num_heads"], "decoder_heads": config["decoder_num_heads"]}
    model = crossmae(**crossmae_sizes(state, **heads), norm_eps=config["layer_norm_eps"])
    load_weights(model, from_crossmae(state), strict=True)
    mask = the_mask(tensors["mask.order"], config)
    with torch.no_grad():
        for number, layer in enumerate(model.layers(tensors["input.image"], mask)):
            if f"feature.{number}" in tensors:
                yield f"feature.{number}", layer, 1e-4, 1e-5
        yield "pred", model(tensors["input.image"], mask).pred, 1e-4, 1e-5


def the_mask(order: Tensor, config: dict[str, Any]) -> Mask:
    """The file's mask; what is predicted is in the order of the grid."""
    n = order.shape[1]
    kept = int(n * (1 - config["mask_ratio"]))
    unused = int(n * (config["mask_ratio"] - config["kept_mask_ratio"]))
    predicted = order[:, kept + unused :].sort(dim=1).values
    return Mask(order[:, :kept], order[:, kept:], predicted)
