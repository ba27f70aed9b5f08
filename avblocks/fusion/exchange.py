"""Fusion layers without weights of their own: bottlenecks, and cross-attention both ways."""

from dataclasses import replace

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from avblocks.fusion.layer import FusionLayer
from avblocks.shapes import given
from avblocks.tokens import AVTokens


class BottleneckLayer(FusionLayer):
    """Bottleneck fusion: each stream updates the fusion tokens, and the results are averaged.

    The block of each stream runs over ``[tokens; fusion]``. A stream that is missing, or has no
    more blocks, is excluded from the average.

    Args:
        dim: width of a token.

    Source: MBT (Nagrani et al. 2021, arXiv 2107.00135).

    Example:
        >>> from avblocks import av_vit
        >>> numbers = {"depth": 2, "num_heads": 4, "image_size": 32, "audio_size": (32, 48)}
        >>> model = av_vit(64, fusion=BottleneckLayer, num_tokens=(4,), **numbers)
        >>> model(image=torch.zeros(1, 3, 32, 32), audio=torch.zeros(1, 1, 32, 48)).fusion.shape
        torch.Size([1, 4, 64])
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(
        self, tokens: AVTokens, *, image: nn.Module | None, audio: nn.Module | None
    ) -> AVTokens:
        """Tokens after the layer."""
        fusion, weights = [], []
        out = {"image": tokens.image, "audio": tokens.audio}
        for name, block in (("image", image), ("audio", audio)):
            x, valid = getattr(tokens, name), getattr(tokens, f"{name}_valid")
            if x is None or block is None:
                continue
            out[name], updated, weight = _beside(block, x, tokens.fusion, valid=valid)
            fusion.append(updated * weight)
            weights.append(weight)
        if not fusion:
            return tokens
        total = torch.stack(weights).sum(dim=0)
        mean = torch.stack(fusion).sum(dim=0) / total.clamp(min=1)
        return replace(tokens, **out, fusion=torch.where(total > 0, mean, tokens.fusion))


class CrossLayer(FusionLayer):
    """Cross-attention between the streams; the fusion tokens are not changed.

    The block of each stream attends to the tokens of both streams.

    Args:
        dim: width of a token.

    Source: the plain cross-attention of MBT (arXiv 2107.00135, section 3.2).

    Example:
        >>> from avblocks import av_vit
        >>> numbers = {"depth": 2, "num_heads": 4, "image_size": 32, "audio_size": (32, 48)}
        >>> model = av_vit(64, fusion=CrossLayer, num_tokens=(0,), **numbers)
        >>> model(image=torch.zeros(1, 3, 32, 32), audio=torch.zeros(1, 1, 32, 48)).image.shape
        torch.Size([1, 4, 64])
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(
        self, tokens: AVTokens, *, image: nn.Module | None, audio: nn.Module | None
    ) -> AVTokens:
        """Tokens after the layer; each stream reads the tokens of the other before the layer."""
        v, a, v_valid, a_valid = tokens.image, tokens.audio, tokens.image_valid, tokens.audio_valid
        return replace(
            tokens,
            image=_reading(image, v, a, valid=v_valid, source_valid=a_valid),
            audio=_reading(audio, a, v, valid=a_valid, source_valid=v_valid),
        )


def _beside(
    block: nn.Module,
    x: Float[Tensor, "b n d"],
    fusion: Float[Tensor, "b n_f d"],
    *,
    valid: Bool[Tensor, "b n"] | None,
) -> tuple[Float[Tensor, "b n d"], Float[Tensor, "b n_f d"], Float[Tensor, "b 1 1"]]:
    """Return both after the block, and 1, or 0 for samples without tokens of the stream."""
    count, n_f = x.shape[1], fusion.shape[1]
    padding = {} if valid is None else {"valid": F.pad(valid, (0, n_f), value=True)}
    x, fusion = block(torch.cat((x, fusion), dim=1), **padding).split((count, n_f), dim=1)
    found = x.new_ones(x.shape[0], dtype=torch.bool) if valid is None else valid.any(dim=1)
    return x, fusion, found[:, None, None].to(x.dtype)


def _reading(
    block: nn.Module | None,
    x: Float[Tensor, "b n d"] | None,
    source: Float[Tensor, "b n_s d"] | None,
    *,
    valid: Bool[Tensor, "b n"] | None,
    source_valid: Bool[Tensor, "b n_s"] | None,
) -> Float[Tensor, "b n d"] | None:
    """Return a stream after its block over ``[source; x]``."""
    if block is None or x is None:
        return x
    if source is None or source_valid is None:
        return block(x, context=source, **given(valid=valid))
    own = torch.ones_like(x[..., 0], dtype=torch.bool) if valid is None else valid
    joined = torch.cat((source_valid, own), dim=1)  # a context has no padding
    return block(torch.cat((source, x), dim=1), valid=joined)[:, source.shape[1] :]
