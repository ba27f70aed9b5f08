"""`Stream`: the interface of an encoder of one modality in `AVEncoder`."""

from collections.abc import Iterable
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Float, Int64
from torch import Tensor, nn

from avblocks.shapes import require

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
