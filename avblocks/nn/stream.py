"""`Stream`: the encoder of one modality in `AVEncoder`, and a layer of it."""

import math
from collections.abc import Iterable
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from avblocks.nn.mask import Mask
from avblocks.shapes import expect, given, require, require_bool, sides
from avblocks.tokens import prefixed_valid

ValidPatches = Bool[Tensor, " b"] | Bool[Tensor, "b n"] | None

_PARTS = ("dim", "grid", "embed", "blocks", "norm")
_PATCH_PARTS = ("patch", "channels", "usual_grid")


_Checked: Any = type(Protocol)


class _ByAttribute(_Checked):
    """Looks for parts as `hasattr` does.

    From Python 3.12 on `isinstance` looks where a protocol's members are stored, and misses what
    a module keeps among its sub-modules.
    """

    def __instancecheck__(self, instance: object) -> bool:
        if self is Stream:
            return all(hasattr(instance, part) for part in _PARTS)
        return super().__instancecheck__(instance)


@runtime_checkable
class Stream(Protocol, metaclass=_ByAttribute):
    """Protocol of an encoder of one modality: `ViT`, or any module with these parts.

    Each of ``blocks`` has the signature of `Block`: ``block(tokens, context=...)`` attends over
    ``[context; tokens]`` and returns the tokens; for batches with padding, also with ``valid=...``.

    A stream with class tokens or registers before the patches gives their number as ``num_prefix``.
    Pre-training with `av_mae` also requires ``patch`` (its sides), ``channels`` and ``usual_grid``.
    One whose tokens also read other patches has a true ``reads_across``, and an ``embed`` that
    takes ``valid``, the valid patches of a batch with padding.
    """

    norm: nn.Module

    @property
    def dim(self) -> int:
        """Width of a token."""
        ...

    @property
    def blocks(self) -> Iterable[nn.Module]:
        """Blocks, one per layer, in the order of layer-wise learning rates."""
        ...

    def grid(self, x: Float[Tensor, "b c *size"]) -> tuple[int, ...]:
        """Patches along each axis of an input."""
        ...

    def embed(
        self, x: Float[Tensor, "b c *size"], *, ids_keep: Int64[Tensor, "b k"] | None = None
    ) -> Float[Tensor, "b n d"]:
        """Tokens of all patches, or only of those in ``ids_keep``, with positions added."""
        ...


def require_stream(name: str, stream: Any, *, patches: bool = False) -> None:
    """Raise a ``ValueError`` if a stream lacks a required part.

    Args:
        name: name of the stream.
        stream: the module.
        patches: whether its patches will be predicted.
    """
    for part in _PARTS + (_PATCH_PARTS if patches else ()):
        if not hasattr(stream, part):
            needed = ", ".join(_PARTS + (_PATCH_PARTS if patches else ()))
            why = "predict its patches" if patches else "be a stream"
            raise ValueError(f"{name}: {type(stream).__name__} has no `{part}`; to {why}: {needed}")


def prefix_of(stream: Any) -> int:
    """Number of tokens that a stream embeds before its patches."""
    return getattr(stream, "num_prefix", 0)


def usual_size(stream: Any) -> tuple[int, ...]:
    """Return the size that a stream was built for: overlapping patches may leave a rest."""
    built = getattr(stream, "built", None)
    if built is not None and "size" in built.arguments:
        return sides(built.arguments["size"], axes=len(stream.patch), name="size")
    strides = getattr(stream, "stride", stream.patch)
    along = zip(stream.usual_grid, strides, stream.patch, strict=True)
    return tuple((count - 1) * stride + patch for count, stride, patch in along)


def layers_of(stream: Any, *, top: int) -> dict[int, int]:
    """Layer of a stream's parameters by their ``id``: 0 for embeddings, ``top`` for the norm."""
    layers = {id(p): 0 for p in stream.parameters()}
    for number, block in enumerate(stream.blocks, 1):
        layers |= {id(p): number for p in block.parameters()}
    return layers | {id(p): top for p in stream.norm.parameters()}


def require_width(name: str, part: Any, dim: int) -> None:
    """Raise a ``ValueError`` if the width of a part is known and differs from ``dim``."""
    shape = getattr(part, "normalized_shape", None)  # of PyTorch's norms
    width = shape[0] if shape else getattr(part, "dim", dim)
    require(width == dim, name, width, f"as wide as the other parts' {dim}")


def embed_kept(
    stream: Stream,
    x: Float[Tensor, "b ..."] | None,
    mask: Mask | None,
    valid: ValidPatches = None,
) -> Float[Tensor, "b k d"] | None:
    """Tokens of an input, with a mask those of the kept patches; ``None`` stays ``None``.

    A stream whose tokens read other patches too has a true ``reads_across``, as a `ViT` may. Its
    ``embed`` is then given the valid patches.
    """
    if x is None:
        return None
    if valid is not None:
        require_bool(valid=valid)
    padded = valid is not None and valid.ndim == 2 and getattr(stream, "reads_across", False)
    options = given(valid=valid) if padded else {}
    if mask is None:
        return stream.embed(x, **options)
    n = math.prod(stream.grid(x))
    require(isinstance(mask, Mask), "mask", type(mask).__name__, "a Mask, as RandomMask draws")
    expect(ids_keep=(mask.ids_keep, "b k"), ids_masked=(mask.ids_masked, "b u"))
    require(mask.num_tokens == n, "mask", mask.num_tokens, "over the input's {} patches", n)
    return stream.embed(x, ids_keep=mask.ids_keep, **options)


def per_patch(valid: Bool[Tensor, "..."], n: int) -> Bool[Tensor, "b n"]:
    """Expand one boolean per sample, if given so, to one per patch."""
    return valid[:, None].expand(-1, n) if valid.ndim == 1 else valid


def kept_valid(
    stream: Stream, x: Float[Tensor, "b ..."] | None, mask: Mask | None, valid: ValidPatches
) -> Bool[Tensor, "b n_all"] | None:
    """Return which tokens of a stream are valid; the prefix tokens are, if a kept patch is."""
    if x is None or valid is None:
        return None
    b, n, prefix = x.shape[0], math.prod(stream.grid(x)), prefix_of(stream)
    whole = per_patch(valid, n)
    expect(valid=(whole, "b n"), b=b, n=n)
    kept = whole if mask is None else whole.gather(1, mask.ids_keep)
    return prefixed_valid(kept, prefix)


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
