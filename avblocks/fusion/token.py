"""Token fusion: the fusion tokens attend to the tokens of both modalities."""

import torch
from torch import nn

from avblocks.fusion.attention import FusionAttention
from avblocks.nn.attention import CrossAttention
from avblocks.tokens import ALL, AudioTokens, FusionTokens, ImageTokens, Valid, joined_valid


class TokenFusion(nn.Module):
    """Token fusion: attention to ``[image; audio]``, without pairs of tokens, O(n_v + n_a).

    A missing modality is omitted from the keys.

    Args:
        dim: width of a token.
        num_heads: number of heads, a divisor of ``dim``.
        attn_ratio: width of queries, keys and values as a fraction of ``dim``. As in the reference
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
        self, fusion: FusionTokens, *, image: ImageTokens, audio: AudioTokens, valid: Valid = ALL
    ) -> FusionTokens:
        """Attention of the fusion tokens to both modalities; there is no residual."""
        sources = [tokens for tokens in (image, audio) if tokens is not None]
        if not sources:
            return torch.zeros_like(fusion)
        keys = joined_valid(valid, image=image, audio=audio)
        return self.attn(fusion, torch.cat(sources, dim=1), valid=keys)

    def attention(
        self, fusion: FusionTokens, *, image: ImageTokens, audio: AudioTokens, valid: Valid = ALL
    ) -> FusionAttention:
        """Attention weights of the fusion tokens, which sum to 1 over both modalities."""
        sources = [tokens for tokens in (image, audio) if tokens is not None]
        if not sources:
            return FusionAttention(image=None, audio=None)
        keys = joined_valid(valid, image=image, audio=audio)
        weights = self.attn.attention(fusion, torch.cat(sources, dim=1), valid=keys)
        parts = iter(weights.split([source.shape[1] for source in sources], dim=-1))
        return FusionAttention(
            image=None if image is None else next(parts),
            audio=None if audio is None else next(parts),
        )
