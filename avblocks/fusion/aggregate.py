"""Fusion-token aggregators: a few tokens that summarize one modality."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from avblocks.nn.attention import CrossAttention


class Aggregator(nn.Module):
    """A few tokens read one modality by cross-attention, at the full width.

    A missing modality is an empty set: the tokens read zeros from it.

    Args:
        dim: width of a token.
        num_heads: number of heads, a divisor of ``dim``.

    Raises:
        ValueError: if ``num_heads`` does not divide ``dim``.

    Example:
        >>> Aggregator(64, num_heads=4)(torch.zeros(2, 8, 64), torch.zeros(2, 196, 64)).shape
        torch.Size([2, 8, 64])
    """

    def __init__(self, dim: int, *, num_heads: int) -> None:
        super().__init__()
        self.attn = CrossAttention(dim, num_heads=num_heads)

    def forward(
        self,
        tokens: Float[Tensor, "b n d"],
        source: Float[Tensor, "b n_s d"] | None,
        *,
        valid: Bool[Tensor, "b n_s"] | None = None,
    ) -> Float[Tensor, "b n d"]:
        """Attention of the tokens to the ``valid`` ones of ``source``; there is no residual."""
        if source is None:
            return torch.zeros_like(tokens)
        read = self.attn(tokens, source, valid=valid)
        return read if valid is None else read * valid.any(dim=1)[:, None, None]

    def attention(
        self,
        tokens: Float[Tensor, "b n d"],
        source: Float[Tensor, "b n_s d"],
        *,
        valid: Bool[Tensor, "b n_s"] | None = None,
    ) -> Float[Tensor, "b h n n_s"]:
        """Attention weights of each token over ``source``, which sum to 1."""
        return self.attn.attention(tokens, source, valid=valid)
