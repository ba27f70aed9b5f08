"""Image tokens that have not attended to other patches."""

from dataclasses import replace

from jaxtyping import Float
from torch import Tensor

from avblocks.encoder import AVEncoder
from avblocks.shapes import require


def local_tokens(
    encoder: AVEncoder, image: Float[Tensor, "b c *size"], *, depth: int
) -> Float[Tensor, "b n_v d"]:
    """Encode each image patch by itself, next to the fusion tokens, in the first layers.

    After a few layers of an image encoder, a patch token may contain information from anywhere in
    the image, so that a location in the token map is not a location in the image. A masked
    autoencoder is trained on a few patches at a time, so it can also encode a single one.

    Args:
        encoder: encoder whose image stream has no prefix tokens.
        image: images.
        depth: number of layers, at least 1.

    Returns:
        Tokens after ``depth`` layers, before the final norm.

    Raises:
        ValueError: if ``depth`` is not between 1 and the depth of the encoder, or the stream has
            prefix tokens.

    Example:
        >>> import torch
        >>> from avblocks import av_vit
        >>> encoder = av_vit(64, depth=2, num_heads=4, image_size=32, audio_size=(32, 48))
        >>> local_tokens(encoder, torch.zeros(2, 3, 32, 32), depth=1).shape
        torch.Size([2, 4, 64])
    """
    require(1 <= depth <= encoder.depth, "depth", depth, "from 1 to {}", encoder.depth)
    tokens = encoder.embed(image=image, audio=None)
    whole = tokens.image
    if whole is None or tokens.image_prefix is not None:
        raise ValueError("local tokens need an image stream without prefix tokens")
    alone = whole.flatten(0, 1)[:, None]
    tokens = replace(tokens, image=alone, fusion=tokens.fusion[:1].expand(len(alone), -1, -1))
    for layer in range(depth):
        tokens = encoder.layer(tokens, layer)
    assert tokens.image is not None
    return tokens.image.view(whole.shape)
