"""Multi-head attention with PyTorch's fused kernel: self-attention and cross-attention."""

from collections.abc import MutableMapping

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from avblocks.nn.init import xavier, xavier_joint
from avblocks.nn.older import accept_older, split_qkv
from avblocks.shapes import expect, require, require_bool, require_heads, share_of


def split_heads(*tensors: Tensor, num_heads: int) -> list[Tensor]:
    """Split the heads of queries, keys and values: ``(b, n, h * e)`` to ``(b, h, n, e)``.

    Raises:
        ValueError: if batch sizes differ, since PyTorch would broadcast a batch of one.
    """
    q, k, *_ = tensors
    fits = all(x.ndim == q.ndim and x.shape[0] == q.shape[0] for x in tensors)
    require(fits, "keys and values", k.shape[0], "of the queries' batch, {}", q.shape[0])
    # Plain views: with einops, `torch.compile` would spend most of its time in einops' parser.
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
    """Softmax attention, with the heads concatenated in the last axis.

    Args:
        q: queries.
        k: keys.
        v: values; their width may differ.
        num_heads: heads that share the widths.
        scale: factor on the logits; ``None`` means (width of a query head)^-1/2.
        valid: False at padded keys; samples without any valid key read zeros.

    Raises:
        ValueError: if batch sizes differ, or ``valid`` is not one boolean per key.
    """
    _require_valid(valid, k)
    q, k, v = split_heads(q, k, v, num_heads=num_heads)
    seen = None if valid is None else _at_least_one(valid)[:, None, None]
    if seen is not None and torch.compiler.is_exporting():
        # The Attention of ONNX Runtime (1.32, opsets 23 and 24) does not broadcast over queries.
        seen = seen.expand(-1, -1, q.shape[-2], -1)
    out = _sdpa(q, k, v, seen=seen, scale=scale).transpose(-3, -2).flatten(-2)
    return out if valid is None else out * valid.any(dim=1)[:, None, None]


def _sdpa(
    q: Float[Tensor, "b h n_q e"],
    k: Float[Tensor, "b h n_k e"],
    v: Float[Tensor, "b h n_k e_v"],
    *,
    seen: Bool[Tensor, "b 1 #n_q n_k"] | None,
    scale: float | None,
) -> Float[Tensor, "b h n_q e_v"]:
    """Run PyTorch's kernel, in float32 where half precision is trained on a CPU.

    There, its backward pass is up to eight times as slow (torch 2.14) as in float32.
    """
    half = q.dtype in (torch.bfloat16, torch.float16) and q.dtype is k.dtype is v.dtype
    if not (half and q.is_cpu and torch.is_grad_enabled()):
        return F.scaled_dot_product_attention(q, k, v, attn_mask=seen, scale=scale)
    with torch.autocast("cpu", enabled=False):
        wide = (x.float() for x in (q, k, v))
        out = F.scaled_dot_product_attention(*wide, attn_mask=seen, scale=scale)
    return out.to(q.dtype)


def attention_weights(
    q: Float[Tensor, "b n_q d"],
    k: Float[Tensor, "b n_k d"],
    *,
    num_heads: int,
    scale: float | None = None,
    valid: Bool[Tensor, "b n_k"] | None = None,
) -> Float[Tensor, "b h n_q n_k"]:
    """Compute the attention weights of `attend`, which does not materialize them.

    Args:
        q: queries.
        k: keys.
        num_heads: heads that share the width.
        scale: factor on the logits; ``None`` means (width of a query head)^-1/2.
        valid: False at padded keys, whose weights are zero.

    Raises:
        ValueError: as in `attend`.

    Example:
        >>> attention_weights(torch.zeros(1, 2, 8), torch.zeros(1, 4, 8), num_heads=2)[0, 0, 0]
        tensor([0.2500, 0.2500, 0.2500, 0.2500])
    """
    _require_valid(valid, k)
    q, k = split_heads(q, k, num_heads=num_heads)
    factor = q.shape[-1] ** -0.5 if scale is None else scale
    logits = q @ k.transpose(-2, -1) * factor
    if valid is None:
        return logits.softmax(dim=-1)
    weights = logits.masked_fill(~_at_least_one(valid)[:, None, None], -torch.inf).softmax(dim=-1)
    return weights * valid[:, None, None]


def _require_valid(valid: Bool[Tensor, "b n"] | None, k: Float[Tensor, "b n d"]) -> None:
    """Raise a ``ValueError`` unless there is one boolean per key."""
    if valid is not None:
        expect(valid=(valid, "b n_k"), b=k.shape[0], n_k=k.shape[1])
        require_bool(valid=valid)


def _at_least_one(valid: Bool[Tensor, "b n"]) -> Bool[Tensor, "b n"]:
    """Mark all keys valid for samples without any: a softmax over no keys would be NaN."""
    return valid | ~valid.any(dim=1, keepdim=True)


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
