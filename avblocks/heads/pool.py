"""Pooling of a stream's tokens to one vector."""

from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from avblocks.nn.attention import CrossAttention
from avblocks.nn.init import normal
from avblocks.nn.mlp import Mlp
from avblocks.nn.norm import layer_norm
from avblocks.shapes import expect, require_bool, require_choice

Pooling = Literal["mean", "attentive"]


def mean_tokens(
    tokens: Float[Tensor, "b n d"], valid: Bool[Tensor, "b n"] | None = None
) -> Float[Tensor, "b d"]:
    """Mean of the tokens, or of the ``valid`` ones; zeros for samples without valid tokens.

    Raises:
        ValueError: if ``valid`` has another shape, or is not boolean.

    Example:
        >>> mean_tokens(torch.tensor([[[1.0], [9.0]]]), torch.tensor([[True, False]]))
        tensor([[1.]])
    """
    if valid is None:
        return tokens.mean(dim=1)
    expect(tokens=(tokens, "b n d"), valid=(valid, "b n"))
    require_bool(valid=valid)
    kept = torch.where(valid[..., None], tokens, 0.0)
    return kept.sum(dim=1) / valid.sum(dim=1, keepdim=True).clamp(min=1)


def mean_std_tokens(
    tokens: Float[Tensor, "b n d"], valid: Bool[Tensor, "b n"] | None = None
) -> Float[Tensor, "b d2"]:
    """Mean and standard deviation of the tokens, or of the ``valid`` ones, concatenated.

    Example:
        >>> mean_std_tokens(torch.tensor([[[1.0], [9.0]]]))
        tensor([[5., 4.]])
    """
    mean = mean_tokens(tokens, valid)
    squares = mean_tokens((tokens - mean[:, None]).square(), valid)
    return torch.cat((mean, squares.clamp(min=1e-12).sqrt()), dim=1)


class MeanPool(nn.Module):
    """Mean pooling of the tokens, as in the reference.

    Example:
        >>> MeanPool()(torch.zeros(2, 10, 64)).shape
        torch.Size([2, 64])
    """

    def forward(
        self, tokens: Float[Tensor, "b n d"], *, valid: Bool[Tensor, "b n"] | None = None
    ) -> Float[Tensor, "b d"]:
        """Average over the tokens, or over the ``valid`` ones."""
        expect(tokens=(tokens, "b n d"))
        return mean_tokens(tokens, valid)


class AttentivePool(nn.Module):
    """Attentive pooling: a learned query cross-attends to the tokens, followed by an MLP.

    Both have a residual connection. As in the attentive probes of CoCa and V-JEPA, the tokens are
    normalized before the attention and the MLP is pre-norm.

    Args:
        dim: width of a token.
        num_heads: heads of the attention.
        mlp_ratio: hidden width of the MLP as a multiple of ``dim``.
        norm_eps: epsilon of the norms.

    Raises:
        ValueError: if a number is out of range.

    Example:
        >>> AttentivePool(64, num_heads=4)(torch.zeros(2, 10, 64)).shape
        torch.Size([2, 64])
    """

    def __init__(
        self, dim: int, *, num_heads: int, mlp_ratio: float = 4.0, norm_eps: float = 1e-6
    ) -> None:
        super().__init__()
        norm1 = layer_norm(dim, norm_eps=norm_eps)
        self.query = nn.Parameter(torch.empty(1, 1, dim))
        self.norm1 = norm1
        self.attn = CrossAttention(dim, num_heads=num_heads)
        self.norm2 = layer_norm(dim, norm_eps=norm_eps)
        self.mlp = Mlp(dim, ratio=mlp_ratio)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Normal query with a standard deviation of 0.02, as for the fusion tokens."""
        normal(self.query)

    def forward(
        self, tokens: Float[Tensor, "b n d"], *, valid: Bool[Tensor, "b n"] | None = None
    ) -> Float[Tensor, "b d"]:
        """The query after attention to the ``valid`` tokens and MLP."""
        query = self.query.expand(tokens.shape[0], -1, -1)
        pooled = query + self.attn(query, self.norm1(tokens), valid=valid)
        pooled = pooled + self.mlp(self.norm2(pooled))
        return pooled[:, 0]


def pool_of(pooling: Pooling, dim: int, *, num_heads: int) -> MeanPool | AttentivePool:
    """Build a `MeanPool`, or an `AttentivePool` with ``num_heads`` heads for tokens of ``dim``.

    Raises:
        ValueError: if the pooling is unknown or a number is out of range.

    Example:
        >>> pool_of("mean", 64, num_heads=4)
        MeanPool()
    """
    require_choice(*get_args(Pooling), pooling=pooling)
    return MeanPool() if pooling == "mean" else AttentivePool(dim, num_heads=num_heads)
