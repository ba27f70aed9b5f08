"""Attention maps of the fusion tokens over the image, without further training."""

from typing import cast

from jaxtyping import Float
from torch import Tensor

from avblocks.encoder import AVEncoder
from avblocks.fusion.block import FusionBlock
from avblocks.shapes import require


def fusion_map(
    encoder: AVEncoder,
    *,
    image: Float[Tensor, "b c height width"],
    audio: Float[Tensor, "b 1 m t"] | None,
    layer: int,
) -> Float[Tensor, "b n_v"]:
    """Mean attention of the fusion tokens of a layer to each image patch.

    In the dense and the factorized fusion the audio enters through the layers before, so that the
    map of layer 0 depends on the image alone.

    Args:
        encoder: an encoder with fusion at that layer.
        image: images.
        audio: spectrograms, or ``None`` for the map without audio.
        layer: index of the layer.

    Returns:
        The mean over heads and fusion tokens, aggregation tokens included.

    Raises:
        ValueError: if that layer has no fusion, or a size does not fit.

    Example:
        >>> import torch
        >>> from avblocks import av_vit
        >>> encoder = av_vit(64, depth=2, num_heads=4, image_size=32, audio_size=(32, 48))
        >>> image, audio = torch.zeros(2, 3, 32, 32), torch.zeros(2, 1, 32, 48)
        >>> fusion_map(encoder, image=image, audio=audio, layer=1).shape
        torch.Size([2, 4])
    """
    blocks = {int(n): b for n, b in encoder.fusion_blocks.items() if isinstance(b, FusionBlock)}
    fused = sorted(blocks)
    require(layer in fused, "layer", layer, f"one of the layers with fusion, {fused}")
    tokens = encoder.embed(image=image, audio=audio)
    for before in range(layer):
        tokens = encoder.layer(tokens, before)
    seen = blocks[layer].attention(tokens.fusion, image=tokens.image, audio=tokens.audio).image
    return cast(Tensor, seen).mean(dim=(1, 2))
