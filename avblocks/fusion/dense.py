"""Dense fusion: the fusion tokens attend to every pair of an image and an audio token."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from avblocks.fusion.attention import FusionAttention
from avblocks.nn.attention import attend, attention_weights
from avblocks.nn.init import xavier
from avblocks.shapes import require_heads, share_of


class DenseFusion(nn.Module):
    r"""Fusion tokens attend to all pairs ``[image_i; audio_j]``, at the cost of two attentions.

    Keys and values are linear in the pair, so a pair's logit is a sum :math:`s_i + t_j` and the
    softmax over all pairs is the outer product of two softmaxes :math:`p` and :math:`r`:

    .. math::
        \sum_{ij} p_i r_j (V x_i + A y_j + b) = V \sum_i p_i x_i + A \sum_j r_j y_j + b

    Exactly two ordinary attentions, O(n_v + n_a) in time and memory; no pair is ever formed.
    A missing modality counts as one token of zeros: its term of the sum is left out, ``b`` stays.

    Args:
        dim: width of a token.
        num_heads: number of heads, a divisor of ``dim``.
        attn_ratio: width of queries and keys as a share of ``dim``. The logits are scaled by
            (dim / num_heads)^-1/2 for every share, as in the reference.
        value_ratio: width of the values as a share of ``dim``; ``None`` means ``attn_ratio``.

    Raises:
        ValueError: if ``num_heads`` does not divide all widths.

    Example:
        >>> fuse = DenseFusion(64, num_heads=4)
        >>> tokens = torch.zeros(2, 16, 64)
        >>> fuse(tokens, image=torch.zeros(2, 196, 64), audio=torch.zeros(2, 96, 64)).shape
        torch.Size([2, 16, 64])
    """

    def __init__(
        self,
        dim: int,
        *,
        num_heads: int,
        attn_ratio: float = 0.25,
        value_ratio: float | None = None,
    ) -> None:
        super().__init__()
        attn_dim = share_of(dim, attn_ratio=attn_ratio)
        value_dim = attn_dim if value_ratio is None else share_of(dim, value_ratio=value_ratio)
        for width in (dim, attn_dim, value_dim):
            require_heads(width, num_heads)
        self.dim, self.num_heads = dim, num_heads
        self.scale = (dim // num_heads) ** -0.5
        self.q = nn.Linear(dim, attn_dim)
        # Columns: the image half of a pair, then the audio half.
        self.k = nn.Linear(2 * dim, attn_dim)
        self.v = nn.Linear(2 * dim, value_dim)
        self.proj = nn.Linear(value_dim, dim)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Xavier-uniform weights, zero biases."""
        xavier(self.q, self.k, self.v, self.proj)

    def forward(
        self,
        fusion: Float[Tensor, "b n_f d"],
        *,
        image: Float[Tensor, "b n_v d"] | None,
        audio: Float[Tensor, "b n_a d"] | None,
    ) -> Float[Tensor, "b n_f d"]:
        """Attention of the fusion tokens to all pairs; there is no residual."""
        q = self.q(fusion)
        halves = self.k.weight.chunk(2, dim=1), self.v.weight.chunk(2, dim=1)
        parts = []
        for tokens, k, v in zip((image, audio), *halves, strict=True):
            if tokens is None:
                continue
            # The biases enter once, with the first half: the key's cancels in the softmax.
            k_bias, v_bias = (None, None) if parts else (self.k.bias, self.v.bias)
            k, v = F.linear(tokens, k, k_bias), F.linear(tokens, v, v_bias)
            parts.append(attend(q, k, v, num_heads=self.num_heads, scale=self.scale))
        return self.proj(sum(parts[1:], start=parts[0])) if parts else torch.zeros_like(fusion)

    def attention(
        self,
        fusion: Float[Tensor, "b n_f d"],
        *,
        image: Float[Tensor, "b n_v d"] | None,
        audio: Float[Tensor, "b n_a d"] | None,
    ) -> FusionAttention:
        """The two softmaxes, which are the marginals of the softmax over all pairs; each sums to 1.

        Within this layer, the weights of a modality do not depend on the other one.
        """
        q = self.q(fusion)
        k_image, k_audio = self.k.weight.chunk(2, dim=1)
        return FusionAttention(
            image=self._marginal(q, k_image, image),
            audio=self._marginal(q, k_audio, audio),
        )

    def _marginal(
        self,
        q: Float[Tensor, "b n_f d_k"],
        k: Float[Tensor, "d_k d"],
        tokens: Float[Tensor, "b n d"] | None,
    ) -> Float[Tensor, "b h n_f n"] | None:
        if tokens is None:
            return None
        # The key's bias cancels.
        return attention_weights(q, F.linear(tokens, k), num_heads=self.num_heads, scale=self.scale)
