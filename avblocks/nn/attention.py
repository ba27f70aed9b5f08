"""Modules of multi-head attention: self-attention and cross-attention."""

from collections.abc import MutableMapping

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from avblocks.nn.dot_product import attend, attention_weights
from avblocks.nn.init import xavier, xavier_joint
from avblocks.nn.older import accept_older, split_qkv
from avblocks.shapes import require_heads, share_of


class Attention(nn.Module):
    """Self-attention over ``[context; x]`` that updates only ``x``.

    Only keys and values are computed for the context, no queries or outputs.

    Args:
        dim: width of a token.
        num_heads: number of heads, a divisor of ``dim``.
        qkv_bias: whether queries, keys and values have a bias.
        q_norm: norm of each query head, such as ``nn.LayerNorm(dim // num_heads)``.
        k_norm: norm of each key head.

    Raises:
        ValueError: if ``num_heads`` does not divide ``dim``.

    Example:
        >>> attention = Attention(64, num_heads=4)
        >>> attention(torch.zeros(2, 10, 64), context=torch.zeros(2, 3, 64)).shape
        torch.Size([2, 10, 64])
    """

    def __init__(
        self,
        dim: int,
        *,
        num_heads: int,
        qkv_bias: bool = True,
        q_norm: nn.Module | None = None,
        k_norm: nn.Module | None = None,
    ) -> None:
        super().__init__()
        require_heads(dim, num_heads)
        self.dim, self.num_heads = dim, num_heads
        self.q = nn.Linear(dim, dim, bias=qkv_bias)
        self.kv = nn.Linear(dim, 2 * dim, bias=qkv_bias)
        self.q_norm, self.k_norm = q_norm, k_norm
        self.proj = nn.Linear(dim, dim)
        self.reset_parameters()
        accept_older(self)

    def reset_parameters(self) -> None:
        """Xavier-uniform weights, those of queries, keys and values as one matrix; zero biases."""
        xavier_joint(self.q, self.kv)
        xavier(self.proj)

    def rename_older(self, state: MutableMapping[str, Tensor], prefix: str) -> None:
        """Split ``qkv``, the name in timm, MAE and avblocks until 0.1."""
        for name in (f"{prefix}qkv.weight", f"{prefix}qkv.bias"):
            if name in state:
                state.update(split_qkv({name: state.pop(name)}))

    def forward(
        self,
        x: Float[Tensor, "b n d"],
        *,
        context: Float[Tensor, "b n_c d"] | None = None,
        valid: Bool[Tensor, "b n"] | None = None,
    ) -> Float[Tensor, "b n d"]:
        """Update ``x`` from the context and its own ``valid`` tokens."""
        source = x if context is None else torch.cat((context, x), dim=-2)
        q, (k, v) = self.q(x), self.kv(source).chunk(2, dim=-1)
        q, k = self._normed(q, self.q_norm), self._normed(k, self.k_norm)
        if valid is not None and context is not None:
            valid = F.pad(valid, (context.shape[1], 0), value=True)
        return self.proj(attend(q, k, v, num_heads=self.num_heads, valid=valid))

    def _normed(self, x: Float[Tensor, "b n d"], norm: nn.Module | None) -> Float[Tensor, "b n d"]:
        return x if norm is None else norm(x.unflatten(-1, (self.num_heads, -1))).flatten(-2)


class CrossAttention(nn.Module):
    """Attention of one set of tokens to another.

    Args:
        dim: width of the query tokens.
        num_heads: number of heads.
        qkv_bias: whether queries, keys and values have a bias.
        attn_ratio: width of queries, keys and values as a fraction of ``dim``.
        source_dim: width of the source tokens; ``None`` means ``dim``.

    Raises:
        ValueError: if ``num_heads`` does not divide the attention width.

    Example:
        >>> CrossAttention(64, num_heads=4)(torch.zeros(2, 8, 64), torch.zeros(2, 50, 64)).shape
        torch.Size([2, 8, 64])
    """

    def __init__(
        self,
        dim: int,
        *,
        num_heads: int,
        qkv_bias: bool = True,
        attn_ratio: float = 1.0,
        source_dim: int | None = None,
    ) -> None:
        super().__init__()
        attn_dim = share_of(dim, attn_ratio=attn_ratio)
        require_heads(attn_dim, num_heads)
        self.dim, self.num_heads = dim, num_heads
        self.q = nn.Linear(dim, attn_dim, bias=qkv_bias)
        self.kv = nn.Linear(source_dim or dim, 2 * attn_dim, bias=qkv_bias)
        self.proj = nn.Linear(attn_dim, dim)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Xavier-uniform weights, zero biases."""
        xavier(self.q, self.kv, self.proj)

    def forward(
        self,
        x: Float[Tensor, "b n d"],
        source: Float[Tensor, "b n_s d_s"] | None,
        *,
        valid: Bool[Tensor, "b n_s"] | None = None,
    ) -> Float[Tensor, "b n d"]:
        """Attention of ``x`` to the ``valid`` tokens of ``source``; there is no residual.

        Without a source, or in samples without a valid token, the result is zero.
        """
        if source is None:
            return torch.zeros_like(x)
        k, v = self.kv(source).chunk(2, dim=-1)
        out = self.proj(attend(self.q(x), k, v, num_heads=self.num_heads, valid=valid))
        return out if valid is None else out * valid.any(dim=1)[:, None, None]

    def attention(
        self,
        x: Float[Tensor, "b n d"],
        source: Float[Tensor, "b n_s d_s"],
        *,
        valid: Bool[Tensor, "b n_s"] | None = None,
    ) -> Float[Tensor, "b h n n_s"]:
        """Attention weights of each token of ``x`` over ``source``, which sum to 1."""
        k, _ = self.kv(source).chunk(2, dim=-1)
        return attention_weights(self.q(x), k, num_heads=self.num_heads, valid=valid)
