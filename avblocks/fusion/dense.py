"""Dense fusion: the fusion tokens attend to every pair of an image and an audio token."""

from collections.abc import MutableMapping
from typing import Any

import torch
from torch import Tensor, nn

from avblocks.fusion.block import FusionAttention, Interaction
from avblocks.nn.dot_product import attend, attention_weights
from avblocks.nn.init import xavier, xavier_joint
from avblocks.nn.older import accept_older, split_pairs
from avblocks.shapes import require_heads, share_of
from avblocks.tokens import AVTokens, FusionTokens


class DenseFusion(Interaction):
    r"""Dense fusion: attention to all pairs ``[image_i; audio_j]``, at the cost of two attentions.

    Keys and values are linear in the pair, so a pair's logit is a sum :math:`s_i + t_j` and the
    softmax over all pairs is the outer product of two softmaxes :math:`p` and :math:`r`:

    .. math::
        \sum_{ij} p_i r_j (V x_i + A y_j + b) = V \sum_i p_i x_i + A \sum_j r_j y_j + b

    This equals two ordinary attentions, O(n_v + n_a) in time and memory; pairs are not computed.

    A missing modality counts as one token of zeros: its term is omitted from the sum, ``b`` stays.

    Args:
        dim: width of a token.
        num_heads: number of heads, a divisor of ``dim``.
        attn_ratio: width of queries and keys as a fraction of ``dim``. The logits are scaled by
            (dim / num_heads)^-1/2 for every ratio, as in the reference.
        value_ratio: width of the values as a fraction of ``dim``; ``None`` means ``attn_ratio``.

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
        # The bias of the keys cancels in the softmax; that of the values is added only once.
        self.k_image = nn.Linear(dim, attn_dim)
        self.k_audio = nn.Linear(dim, attn_dim, bias=False)
        self.v_image = nn.Linear(dim, value_dim, bias=False)
        self.v_audio = nn.Linear(dim, value_dim, bias=False)
        # Random like that of a layer, so that a seed gives the same weights as in version 0.1.
        self.v_bias = nn.Parameter(torch.rand(value_dim))
        self.proj = nn.Linear(value_dim, dim)
        self.reset_parameters()
        accept_older(self)

    def reset_parameters(self) -> None:
        """Xavier-uniform weights, those of a pair's halves as one matrix; zero biases."""
        xavier(self.q)
        xavier_joint(self.k_image, self.k_audio, dim=1)
        xavier_joint(self.v_image, self.v_audio, dim=1)
        nn.init.zeros_(self.v_bias)
        xavier(self.proj)

    def rename_older(self, state: MutableMapping[str, Tensor], prefix: str) -> None:
        """Split ``k`` and ``v`` of pairs ``[image; audio]``, the names in avblocks until 0.1."""
        for name in (f"{prefix}{layer}.{kind}" for layer in "kv" for kind in ("weight", "bias")):
            if name in state:
                state.update(split_pairs(name, state.pop(name)))

    def fuse(self, tokens: AVTokens) -> FusionTokens:
        """Attention of the fusion tokens to all pairs; there is no residual."""
        q, read = self.q(tokens.fusion), []
        for x, valid, k, v in (
            (tokens.image, tokens.image_valid, self.k_image, self.v_image),
            (tokens.audio, tokens.audio_valid, self.k_audio, self.v_audio),
        ):
            if x is not None:
                read.append(attend(q, k(x), v(x), valid=valid, **self._heads))
        return self.proj(sum(read, start=self.v_bias)) if read else torch.zeros_like(tokens.fusion)

    def maps(self, tokens: AVTokens) -> FusionAttention:
        """The two softmaxes, the marginals of the softmax over all pairs; each sums to 1.

        Within this layer, the weights of a modality do not depend on the other one.
        """
        q = self.q(tokens.fusion)
        to_image, to_audio = (
            None if x is None else attention_weights(q, k(x), valid=valid, **self._heads)
            for x, valid, k in (
                (tokens.image, tokens.image_valid, self.k_image),
                (tokens.audio, tokens.audio_valid, self.k_audio),
            )
        )
        return FusionAttention(image=to_image, audio=to_audio)

    @property
    def _heads(self) -> dict[str, Any]:
        return {"num_heads": self.num_heads, "scale": self.scale}
