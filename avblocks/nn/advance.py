"""What `AVEncoder` does with one stream: embed an input, and advance its tokens by a layer."""

import math

from jaxtyping import Bool, Float
from torch import Tensor, nn

from avblocks.nn.mask import Mask
from avblocks.nn.stream import Stream, prefix_of
from avblocks.shapes import expect, given, require

ValidPatches = Bool[Tensor, " b"] | Bool[Tensor, "b n"] | None


def embed_kept(
    stream: Stream, x: Float[Tensor, "b ..."] | None, mask: Mask | None
) -> Float[Tensor, "b n d"] | None:
    """Tokens of an input, with a mask those of the kept patches; ``None`` stays ``None``."""
    if x is None:
        return None
    if mask is None:
        return stream.embed(x)
    n = math.prod(stream.grid(x))
    require(mask.num_tokens == n, "mask", mask.num_tokens, "over the input's {} patches", n)
    return stream.embed(x, ids_keep=mask.ids_keep)


def kept_valid(
    stream: Stream, x: Float[Tensor, "b ..."] | None, mask: Mask | None, valid: ValidPatches
) -> Bool[Tensor, "b n_all"] | None:
    """Return which tokens of a stream are valid, including prefix tokens."""
    if x is None or valid is None:
        return None
    b, n, prefix = x.shape[0], math.prod(stream.grid(x)), prefix_of(stream)
    whole = valid[:, None].expand(-1, n) if valid.ndim == 1 else valid
    expect(valid=(whole, "b n"), b=b, n=n)
    kept = whole if mask is None else whole.gather(1, mask.ids_keep)
    return nn.functional.pad(kept, (prefix, 0), value=True)


def block_of(stream: Stream, layer: int) -> nn.Module | None:
    """The block of a stream in a layer; ``None`` after its last one."""
    blocks = list(stream.blocks)
    return blocks[layer] if layer < len(blocks) else None


def advance(
    block: nn.Module | None,
    tokens: Float[Tensor, "b n d"] | None,
    context: Float[Tensor, "b n_f d"] | None,
    valid: Bool[Tensor, "b n"] | None,
) -> Float[Tensor, "b n d"] | None:
    """Tokens after a block that also attends to the context; without a block they stay."""
    if tokens is None or block is None:
        return tokens
    return block(tokens, context=context, **given(valid=valid))
