"""VideoMAE's encoder and pre-training, against transformers' tensors."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from avblocks import Mask
from avblocks.zoo import (
    from_videomae,
    from_videomae_mae,
    videomae,
    videomae_mae,
    videomae_mae_sizes,
    videomae_sizes,
)

TOLERANCE = (1e-4, 1e-5)


def part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): x for n, x in tensors.items() if n.startswith(prefix)}


def compare(
    tensors: dict[str, Tensor], config: dict[str, Any]
) -> Iterator[tuple[str, Tensor, float, float]]:
    """Tokens, loss and predictions of videos (b, frames, 3, height, width)."""
    size = (config["num_frames"], config["image_size"], config["image_size"])
    numbers = {"size": size, "num_heads": config["num_attention_heads"]}
    eps = config["layer_norm_eps"]
    video = tensors["input.video"].transpose(1, 2)
    encoder_file, whole_file = part(tensors, "encoder.state."), part(tensors, "pretrain.state.")
    encoder = videomae(**videomae_sizes(encoder_file, **numbers), norm_eps=eps)
    encoder.load_state_dict(from_videomae(encoder_file))
    trained = videomae(**videomae_sizes(whole_file, **numbers), norm_eps=eps)
    decoder = videomae_mae_sizes(whole_file, num_heads=config["decoder_num_attention_heads"])
    model = videomae_mae(trained, **decoder, norm_eps=eps)
    model.load_state_dict(from_videomae_mae(whole_file))
    masked = tensors["mask.masked"]
    order = masked.int().argsort(dim=1, stable=True)
    with torch.no_grad():
        yield "encoder.tokens", encoder(video), *TOLERANCE
        mask = Mask.from_order(order, num_kept=int((~masked[0]).sum()))
        out = model(video, mask=mask)
    yield "pretrain.pred", out.pred_image, *TOLERANCE
    yield "pretrain.loss", out.loss, *TOLERANCE
