"""Attention maps of the fusion tokens over the image, without further training."""

from typing import cast

from jaxtyping import Float
from torch import Tensor

from avblocks.encoder import AVEncoder
from avblocks.nn.stream import prefix_of
from avblocks.shapes import require
from avblocks.tokens import with_prefix


def fusion_map(
    encoder: AVEncoder,
    *,
    image: Float[Tensor, "b c height width"],
    audio: Float[Tensor, "b 1 m t"] | None,
    layer: int,
) -> Float[Tensor, "b n_v"]:
    """Mean attention of the fusion tokens of a layer to each image patch.

    With dense and factorized fusion, the audio affects the map only through earlier layers, so the
    map of layer 0 depends on the image only.

    Args:
        encoder: an encoder with fusion in that layer.
        image: images.
        audio: spectrograms, or ``None`` for the map without audio.
        layer: index of the layer.

    Returns:
        The mean over heads and fusion tokens, including aggregation tokens; prefix tokens of the
        image are excluded.

    Raises:
        ValueError: if the layer has no fusion, or one without attention maps, or a size does not
            match.

    Example:
        >>> import torch
        >>> from avblocks import av_vit
        >>> encoder = av_vit(64, depth=2, num_heads=4, image_size=32, audio_size=(32, 48))
        >>> image, audio = torch.zeros(2, 3, 32, 32), torch.zeros(2, 1, 32, 48)
        >>> fusion_map(encoder, image=image, audio=audio, layer=1).shape
        torch.Size([2, 4])
    """
    fused = sorted(int(key) for key in encoder.fusion_blocks)
    require(layer in fused, "layer", layer, f"one of the layers with fusion, {fused}")
    block = encoder.fusion_blocks[str(layer)]
    attention = getattr(block, "attention", None)  # `isinstance` misses that of wrapped modules
    if attention is None:
        raise ValueError(f"{type(block).__name__} has no method `attention` to compute maps with")
    tokens = encoder.embed(image=image, audio=audio)
    for before in range(layer):
        tokens = encoder.layer(tokens, before)
    whole = with_prefix(tokens)
    seen = attention(whole.fusion, image=whole.image, audio=whole.audio).image
    return cast(Tensor, seen).mean(dim=(1, 2))[:, prefix_of(encoder.image) :]
