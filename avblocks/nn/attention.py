"""Multi-head attention through PyTorch's fused kernel: self, with context, and across."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from avblocks.nn.init import xavier
from avblocks.shapes import require, require_heads, share_of


def split_heads(*tensors: Tensor, num_heads: int) -> list[Tensor]:
    """Queries, keys and values ``(b, n, h * e)`` as ``(b, h, n, e)``.

    Raises:
        ValueError: if a batch differs from the queries': PyTorch would broadcast a batch of one.
    """
    q, k, *_ = tensors
    fits = all(x.ndim == q.ndim and x.shape[0] == q.shape[0] for x in tensors)
    require(fits, "keys and values", k.shape[0], "of the queries' batch, {}", q.shape[0])
    # Plain views: `torch.compile` would trace einops' parser here, at most of its whole time.
    return [x.unflatten(-1, (num_heads, -1)).transpose(-3, -2) for x in tensors]


def attend(
    q: Float[Tensor, "b n_q d"],
    k: Float[Tensor, "b n_k d"],
    v: Float[Tensor, "b n_k d_v"],
    *,
    num_heads: int,
    scale: float | None = None,
) -> Float[Tensor, "b n_q d_v"]:
    """Softmax attention with the heads side by side in the last axis.

    Args:
        q: queries.
        k: keys.
        v: values; their width may differ.
        num_heads: heads that share the widths.
        scale: factor on the logits; ``None`` means (width of a query head)^-1/2.
    """
    q, k, v = split_heads(q, k, v, num_heads=num_heads)
    out = F.scaled_dot_product_attention(q, k, v, scale=scale)
    return out.transpose(-3, -2).flatten(-2)


def attention_weights(
    q: Float[Tensor, "b n_q d"],
    k: Float[Tensor, "b n_k d"],
    *,
    num_heads: int,
    scale: float | None = None,
) -> Float[Tensor, "b h n_q n_k"]:
    """The attention weights of `attend`, which itself never forms them.

    Args:
        q: queries.
        k: keys.
        num_heads: heads that share the width.
        scale: factor on the logits; ``None`` means (width of a query head)^-1/2.

    Example:
        >>> attention_weights(torch.zeros(1, 2, 8), torch.zeros(1, 4, 8), num_heads=2)[0, 0, 0]
        tensor([0.2500, 0.2500, 0.2500, 0.2500])
    """
    q, k = split_heads(q, k, num_heads=num_heads)
    factor = q.shape[-1] ** -0.5 if scale is None else scale
    return (q @ k.transpose(-2, -1) * factor).softmax(dim=-1)


class Attention(nn.Module):
    """Self-attention over ``[context; x]`` that updates ``x`` alone.

    The context gives keys and values only: neither queries nor outputs are computed for it.

    Args:
        dim: width of a token.
        num_heads: number of heads, a divisor of ``dim``.
        qkv_bias: whether queries, keys and values have a bias.

    Raises:
        ValueError: if ``num_heads`` does not divide ``dim``.

    Example:
        >>> attention = Attention(64, num_heads=4)
        >>> attention(torch.zeros(2, 10, 64), context=torch.zeros(2, 3, 64)).shape
        torch.Size([2, 10, 64])
    """

    def __init__(self, dim: int, *, num_heads: int, qkv_bias: bool = True) -> None:
        super().__init__()
        require_heads(dim, num_heads)
        self.dim, self.num_heads = dim, num_heads
        self.qkv = nn.Linear(dim, 3 * dim, bias=qkv_bias)
        self.proj = nn.Linear(dim, dim)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Xavier-uniform weights, zero biases."""
        xavier(self.qkv, self.proj)

    def forward(
        self, x: Float[Tensor, "b n d"], *, context: Float[Tensor, "b n_c d"] | None = None
    ) -> Float[Tensor, "b n d"]:
        """Update ``x`` from itself and the context."""
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        if context is not None:
            bias = self.qkv.bias
            kv_bias = None if bias is None else bias[self.dim :]
            context_k, context_v = F.linear(context, self.qkv.weight[self.dim :], kv_bias).chunk(
                2, dim=-1
            )
            k, v = torch.cat((context_k, k), dim=-2), torch.cat((context_v, v), dim=-2)
        return self.proj(attend(q, k, v, num_heads=self.num_heads))


class CrossAttention(nn.Module):
    """Attention of one set of tokens to another.

    Args:
        dim: width of both sets.
        num_heads: number of heads.
        qkv_bias: whether queries, keys and values have a bias.
        attn_ratio: width of queries, keys and values as a share of ``dim``.

    Raises:
        ValueError: if ``num_heads`` does not divide the attention width.

    Example:
        >>> CrossAttention(64, num_heads=4)(torch.zeros(2, 8, 64), torch.zeros(2, 50, 64)).shape
        torch.Size([2, 8, 64])
    """

    def __init__(
        self, dim: int, *, num_heads: int, qkv_bias: bool = True, attn_ratio: float = 1.0
    ) -> None:
        super().__init__()
        attn_dim = share_of(dim, attn_ratio=attn_ratio)
        require_heads(attn_dim, num_heads)
        self.dim, self.num_heads = dim, num_heads
        self.q = nn.Linear(dim, attn_dim, bias=qkv_bias)
        self.kv = nn.Linear(dim, 2 * attn_dim, bias=qkv_bias)
        self.proj = nn.Linear(attn_dim, dim)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Xavier-uniform weights, zero biases."""
        xavier(self.q, self.kv, self.proj)

    def forward(
        self, x: Float[Tensor, "b n d"], source: Float[Tensor, "b n_s d"]
    ) -> Float[Tensor, "b n d"]:
        """Attention of ``x`` to ``source``; there is no residual."""
        k, v = self.kv(source).chunk(2, dim=-1)
        return self.proj(attend(self.q(x), k, v, num_heads=self.num_heads))

    def attention(
        self, x: Float[Tensor, "b n d"], source: Float[Tensor, "b n_s d"]
    ) -> Float[Tensor, "b h n n_s"]:
        """Attention weights of each token of ``x`` over ``source``, which sum to 1."""
        k, _ = self.kv(source).chunk(2, dim=-1)
        return attention_weights(self.q(x), k, num_heads=self.num_heads)
