"""Token fusion: the fusion tokens attend to the tokens of both modalities."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from avblocks.fusion.attention import FusionAttention
from avblocks.nn.attention import CrossAttention


class TokenFusion(nn.Module):
    """Fusion tokens attend to ``[image; audio]``: no interaction of a pair, O(n_v + n_a).

    A missing modality is left out of the keys.

    Args:
        dim: width of a token.
        num_heads: number of heads, a divisor of ``dim``.
        attn_ratio: width of queries, keys and values as a share of ``dim``. As in the reference
            (``models/fusion_blocks.py``) the logits are scaled by the reduced width of a head,
            unlike in the other two fusions.

    Raises:
        ValueError: if ``num_heads`` does not divide both widths.

    Example:
        >>> fuse = TokenFusion(64, num_heads=4)
        >>> tokens = torch.zeros(2, 16, 64)
        >>> fuse(tokens, image=torch.zeros(2, 196, 64), audio=torch.zeros(2, 96, 64)).shape
        torch.Size([2, 16, 64])
    """

    def __init__(self, dim: int, *, num_heads: int, attn_ratio: float = 0.25) -> None:
        super().__init__()
        self.attn = CrossAttention(dim, num_heads=num_heads, attn_ratio=attn_ratio)

    def forward(
        self,
        fusion: Float[Tensor, "b n_f d"],
        *,
        image: Float[Tensor, "b n_v d"] | None,
        audio: Float[Tensor, "b n_a d"] | None,
    ) -> Float[Tensor, "b n_f d"]:
        """Attention of the fusion tokens to both modalities; there is no residual."""
        sources = [tokens for tokens in (image, audio) if tokens is not None]
        return self.attn(fusion, torch.cat(sources, dim=1)) if sources else torch.zeros_like(fusion)

    def attention(
        self,
        fusion: Float[Tensor, "b n_f d"],
        *,
        image: Float[Tensor, "b n_v d"] | None,
        audio: Float[Tensor, "b n_a d"] | None,
    ) -> FusionAttention:
        """Attention weights of the fusion tokens, which sum to 1 over both modalities."""
        sources = [tokens for tokens in (image, audio) if tokens is not None]
        if not sources:
            return FusionAttention(image=None, audio=None)
        weights = self.attn.attention(fusion, torch.cat(sources, dim=1))
        parts = iter(weights.split([source.shape[1] for source in sources], dim=-1))
        return FusionAttention(
            image=None if image is None else next(parts),
            audio=None if audio is None else next(parts),
        )
