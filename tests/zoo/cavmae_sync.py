"""CAV-MAE Sync's retrieval against its own code's numbers."""

from collections.abc import Iterator
from typing import Any

import torch
from origins import part
from torch import Tensor

from avblocks.checkpoint import load_weights
from avblocks.zoo.cavmae_sync import cavmae_sync_encoder, retrieval_features
from avblocks.zoo.cavmae_sync_names import cavmae_sync_sizes, from_cavmae_sync


def compare(
    tensors: dict[str, Tensor], config: dict[str, Any]
) -> Iterator[tuple[str, Tensor, float, float]]:
    """Tokens of the patches and the class token of each modality alone."""
    state = part(tensors, "state.")
    sizes = cavmae_sync_sizes(state, num_heads=config["num_heads"])
    encoder = cavmae_sync_encoder(**sizes, norm_eps=config["layer_norm_eps"])
    load_weights(encoder, from_cavmae_sync(state), strict=True)
    audio = tensors["input.audio"].transpose(1, 2).unsqueeze(1)
    for name, x in (("image", tensors["input.image"]), ("audio", audio)):
        with torch.no_grad():
            found = retrieval_features(encoder, **{name: x})
        yield f"retrieval.local_{name}", found.local_tokens, 1e-4, 1e-5
        if found.global_token is not None and f"retrieval.global_{name}" in tensors:
            yield f"retrieval.global_{name}", found.global_token, 1e-4, 1e-5
