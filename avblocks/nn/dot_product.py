"""Scaled dot-product attention: PyTorch's fused kernel, with padded keys, and its weights."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from avblocks.shapes import expect, require, require_bool


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
