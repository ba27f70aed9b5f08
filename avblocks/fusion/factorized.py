"""Factorized fusion: dense fusion over a few aggregation tokens of each modality."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from avblocks.fusion.block import FusionAttention, Interaction
from avblocks.fusion.dense import DenseFusion
from avblocks.nn.attention import CrossAttention
from avblocks.shapes import expect, require
from avblocks.tokens import AVTokens, FusionTokens, sources, valid_samples


def require_num_tokens(num_tokens: Sequence[int]) -> None:
    """Raise a ``ValueError`` unless there are three counts, each above zero."""
    fits = isinstance(num_tokens, Sequence) and len(num_tokens) == 3
    fits = fits and all(isinstance(count, int) and count > 0 for count in num_tokens)
    require(fits, "num_tokens", num_tokens, "three positive integers")


class Aggregator(nn.Module):
    """Aggregate one modality into a few tokens by cross-attention, at the full width.

    For a missing modality, the result is zero.

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
        return self.attn(tokens, source, valid=valid)


class FactorizedFusion(Interaction):
    """Factorized fusion: aggregate each modality, then fuse all pairs of aggregates.

    This is the fusion of the released models. Its tokens are fusion tokens, aggregation tokens of
    the image, and aggregation tokens of the audio, in this order. Aggregation tokens attend to
    their modality; fusion tokens attend to all pairs of aggregates (query and key width
    ``attn_ratio``, full values).

    The aggregates of a missing modality are zeros, also in the pairs.

    Args:
        dim: width of a token.
        num_heads: number of heads, a divisor of ``dim``.
        num_tokens: fusion tokens, image aggregation tokens, audio aggregation tokens.
        attn_ratio: width of the pairs' queries and keys as a fraction of ``dim`` (VGGSound 0.25,
            AudioSet 1.0).

    Raises:
        ValueError: if a number is not positive or ``num_heads`` does not divide the widths.

    Example:
        >>> fuse = FactorizedFusion(64, num_heads=4, num_tokens=(16, 8, 8))
        >>> tokens = torch.zeros(2, 32, 64)
        >>> fuse(tokens, image=torch.zeros(2, 196, 64), audio=torch.zeros(2, 96, 64)).shape
        torch.Size([2, 32, 64])
    """

    def __init__(
        self,
        dim: int,
        *,
        num_heads: int,
        num_tokens: tuple[int, int, int] = (16, 8, 8),
        attn_ratio: float = 0.25,
    ) -> None:
        super().__init__()
        require_num_tokens(num_tokens)
        self.num_tokens = tuple(num_tokens)
        self.image_aggregator = Aggregator(dim, num_heads=num_heads)
        self.audio_aggregator = Aggregator(dim, num_heads=num_heads)
        self.pairs = DenseFusion(dim, num_heads=num_heads, attn_ratio=attn_ratio, value_ratio=1.0)

    def fuse(self, tokens: AVTokens) -> FusionTokens:
        """Updates of fusion and aggregation tokens; there is no residual."""
        pairs, aggregates = self._aggregate(tokens)
        fused = self.pairs(pairs.fusion, **sources(pairs))
        return torch.cat((fused, *aggregates), dim=1)

    def maps(self, tokens: AVTokens) -> FusionAttention:
        """Attention weights over the tokens of the modalities, which sum to 1.

        Aggregation tokens attend to their own modality. The weights of the fusion tokens are their
        weights over the aggregates, multiplied by the weights of the aggregates, averaged over the
        heads of the aggregation, which its projection mixes.
        """
        pairs, _ = self._aggregate(tokens)
        weights = self.pairs.attention(pairs.fusion, **sources(pairs))
        _, of_image, of_audio = self._split(tokens.fusion)
        _, n_image, n_audio = self.num_tokens
        to_image = to_audio = None
        if tokens.image is not None and weights.image is not None:
            read = self.image_aggregator.attn.attention
            own = read(of_image, tokens.image, valid=tokens.image_valid)
            to_image = _through(weights.image, own, above=0, below=n_audio)
        if tokens.audio is not None and weights.audio is not None:
            read = self.audio_aggregator.attn.attention
            own = read(of_audio, tokens.audio, valid=tokens.audio_valid)
            to_audio = _through(weights.audio, own, above=n_image, below=0)
        return FusionAttention(image=to_image, audio=to_audio)

    def _aggregate(self, tokens: AVTokens) -> tuple[AVTokens, list[Float[Tensor, "b _ d"]]]:
        """Return the tokens of the pairs, and all aggregates: zeros if a modality is missing."""
        fusion, of_image, of_audio = self._split(tokens.fusion)
        image = self.image_aggregator(of_image, tokens.image, valid=tokens.image_valid)
        audio = self.audio_aggregator(of_audio, tokens.audio, valid=tokens.audio_valid)
        pairs = AVTokens(
            image=None if tokens.image is None else image,
            audio=None if tokens.audio is None else audio,
            fusion=fusion,
            image_valid=valid_samples(tokens.image_valid, of_image.shape[1]),
            audio_valid=valid_samples(tokens.audio_valid, of_audio.shape[1]),
        )
        return pairs, [image, audio]

    def _split(self, fusion: FusionTokens) -> Sequence[Float[Tensor, "b _ d"]]:
        expect(fusion=(fusion, "b n_f d"), n_f=sum(self.num_tokens))
        return fusion.split(self.num_tokens, dim=1)


def _through(
    pairs: Float[Tensor, "b h n_f n_k"],
    own: Float[Tensor, "b h n_k n"],
    *,
    above: int,
    below: int,
) -> Float[Tensor, "b h n_all n"]:
    """Return the weights of the fusion tokens through the aggregates, then of the aggregates."""
    fused = pairs @ own.mean(dim=1, keepdim=True)
    return torch.cat((fused, F.pad(own, (0, 0, above, below))), dim=2)
