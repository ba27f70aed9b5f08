"""Token fusion: the fusion tokens attend to the tokens of both modalities."""

from avblocks.fusion.block import FusionAttention, Interaction
from avblocks.nn.attention import CrossAttention
from avblocks.tokens import AVTokens, FusionTokens, joined, joined_valid


class TokenFusion(Interaction):
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
        >>> import torch
        >>> fuse = TokenFusion(64, num_heads=4)
        >>> tokens = torch.zeros(2, 16, 64)
        >>> fuse(tokens, image=torch.zeros(2, 196, 64), audio=torch.zeros(2, 96, 64)).shape
        torch.Size([2, 16, 64])
    """

    def __init__(self, dim: int, *, num_heads: int, attn_ratio: float = 0.25) -> None:
        super().__init__()
        self.attn = CrossAttention(dim, num_heads=num_heads, attn_ratio=attn_ratio)

    def fuse(self, tokens: AVTokens) -> FusionTokens:
        """Attention of the fusion tokens to both modalities; there is no residual."""
        return self.attn(tokens.fusion, joined(tokens), valid=joined_valid(tokens))

    def maps(self, tokens: AVTokens) -> FusionAttention:
        """Attention weights of the fusion tokens, which sum to 1 over both modalities."""
        source = joined(tokens)
        if source is None:
            return FusionAttention(image=None, audio=None)
        weights = self.attn.attention(tokens.fusion, source, valid=joined_valid(tokens))
        n_v = 0 if tokens.image is None else tokens.image.shape[1]
        return FusionAttention(
            image=None if tokens.image is None else weights[..., :n_v],
            audio=None if tokens.audio is None else weights[..., n_v:],
        )
