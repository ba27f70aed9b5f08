"""Multi-head attention through PyTorch's fused kernel: self, with context, and across."""

from collections.abc import MutableMapping

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from avblocks.nn.init import xavier, xavier_joint
from avblocks.nn.older import accept_older, split_qkv
from avblocks.shapes import expect, require, require_heads, share_of


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
    valid: Bool[Tensor, "b n_k"] | None = None,
) -> Float[Tensor, "b n_q d_v"]:
    """Softmax attention with the heads side by side in the last axis.

    Args:
        q: queries.
        k: keys.
        v: values; their width may differ.
        num_heads: heads that share the widths.
        scale: factor on the logits; ``None`` means (width of a query head)^-1/2.
        valid: False at keys that are padding; where a sample has none, zeros are read.
    """
    if valid is not None:
        expect(valid=(valid, "b n_k"), b=k.shape[0], n_k=k.shape[1])
    q, k, v = split_heads(q, k, v, num_heads=num_heads)
    seen = None if valid is None else _at_least_one(valid)[:, None, None]
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=seen, scale=scale)
    out = out.transpose(-3, -2).flatten(-2)
    return out if valid is None else out * valid.any(dim=1)[:, None, None]


def attention_weights(
    q: Float[Tensor, "b n_q d"],
    k: Float[Tensor, "b n_k d"],
    *,
    num_heads: int,
    scale: float | None = None,
    valid: Bool[Tensor, "b n_k"] | None = None,
) -> Float[Tensor, "b h n_q n_k"]:
    """The attention weights of `attend`, which itself never forms them.

    Args:
        q: queries.
        k: keys.
        num_heads: heads that share the width.
        scale: factor on the logits; ``None`` means (width of a query head)^-1/2.
        valid: False at keys that are padding, whose weights are zero.

    Example:
        >>> attention_weights(torch.zeros(1, 2, 8), torch.zeros(1, 4, 8), num_heads=2)[0, 0, 0]
        tensor([0.2500, 0.2500, 0.2500, 0.2500])
    """
    q, k = split_heads(q, k, num_heads=num_heads)
    factor = q.shape[-1] ** -0.5 if scale is None else scale
    logits = q @ k.transpose(-2, -1) * factor
    if valid is None:
        return logits.softmax(dim=-1)
    weights = logits.masked_fill(~_at_least_one(valid)[:, None, None], -torch.inf).softmax(dim=-1)
    return weights * valid[:, None, None]


def _at_least_one(valid: Bool[Tensor, "b n"]) -> Bool[Tensor, "b n"]:
    """All keys for samples without a valid one: a softmax over nothing is not a number."""
    return valid | ~valid.any(dim=1, keepdim=True)


class Attention(nn.Module):
    """Self-attention over ``[context; x]`` that updates ``x`` alone.

    The context gives keys and values only: neither queries nor outputs are computed for it.

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
        """Take ``qkv``, timm's and MAE's name and ours until 0.1, apart."""
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
        """Update ``x`` from the context and itself, less its tokens that are not ``valid``."""
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
        dim: width of the tokens that read.
        num_heads: number of heads.
        qkv_bias: whether queries, keys and values have a bias.
        attn_ratio: width of queries, keys and values as a share of ``dim``.
        source_dim: width of the tokens that are read; ``None`` means ``dim``.

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
        source: Float[Tensor, "b n_s d_s"],
        *,
        valid: Bool[Tensor, "b n_s"] | None = None,
    ) -> Float[Tensor, "b n d"]:
        """Attention of ``x`` to the ``valid`` tokens of ``source``; there is no residual."""
        k, v = self.kv(source).chunk(2, dim=-1)
        return self.proj(attend(self.q(x), k, v, num_heads=self.num_heads, valid=valid))

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
