"""The legend of axis letters, in annotations, einops patterns and docs alike; size checks.

========== =============================================================
``b``      batch
``n``      tokens; ``n_v`` image, ``n_a`` audio, ``n_f`` fusion tokens
``k u``    kept and masked (unseen) tokens, ``k + u = n``
``d``      width of a token
``h e``    attention heads and the width of one head
``c``      channels
``p q``    sides of a patch
``t``      video frames, or frames of a spectrogram
``m``      mel bins
``s``      samples of a waveform
``v``      values of a patch (``p * q * c``)
========== =============================================================
"""

import math
from collections.abc import Sequence

from torch import Tensor


def require(fits: bool, name: str, value: object, takes: str) -> None:
    """Raise a ``ValueError`` naming the argument, what it takes and what it got, unless it fits."""
    if not fits:
        raise ValueError(f"{name} must be {takes}, got {value!r}")


def require_positive(**values: int) -> None:
    """Raise a ``ValueError`` for the first argument that is not an integer above zero."""
    for name, value in values.items():
        require(isinstance(value, int) and value > 0, name, value, "a positive integer")


def require_above_zero(**values: float) -> None:
    """Raise a ``ValueError`` for the first argument that is not a number above zero."""
    for name, value in values.items():
        require(value > 0.0, name, value, "a number above zero")


def require_share(**values: float) -> None:
    """Raise a ``ValueError`` for the first argument outside ``[0, 1)``."""
    for name, value in values.items():
        require(0.0 <= value < 1.0, name, value, "in [0, 1)")


def require_heads(dim: int, num_heads: int) -> None:
    """Raise a ``ValueError`` unless ``num_heads`` heads share ``dim`` evenly."""
    require_positive(dim=dim, num_heads=num_heads)
    require(dim % num_heads == 0, "num_heads", num_heads, f"a divisor of the width {dim}")


def require_width(name: str, got: int, dim: int) -> None:
    """Raise a ``ValueError`` naming a part of a model that is not as wide as the others."""
    require(got == dim, name, got, f"as wide as the other parts' {dim}")


def share_of(dim: int, **ratio: float) -> int:
    """Width that is a share or a multiple of ``dim``, rounded down.

    Raises:
        ValueError: naming the ratio, if that is not a positive number.

    Example:
        >>> share_of(64, attn_ratio=0.25)
        16
    """
    ((name, value),) = ratio.items()
    fits = math.isfinite(value) and dim * value >= 1
    require(fits, name, value, f"at least 1 / {dim}")
    return int(dim * value)


def expect(name: str, tensor: Tensor, axes: str, **sizes: int) -> None:
    """Check a tensor that comes from outside, so that a wrong shape never broadcasts.

    Args:
        name: what the message calls the tensor.
        tensor: the tensor to check.
        axes: its axes by letter, such as ``"b n d"``.
        **sizes: the sizes of the axes that are known.

    Raises:
        ValueError: if the number of axes or a known size differs.

    Example:
        >>> import torch
        >>> expect("image", torch.zeros(2, 4, 8), "b n d", d=6)
        Traceback (most recent call last):
        ValueError: image must have shape (b, n, d=6), got (2, 4, 8)
    """
    letters, got = axes.split(), tuple(tensor.shape)
    if len(letters) == len(got) and all(
        sizes.get(letter, size) == size for letter, size in zip(letters, got, strict=True)
    ):
        return
    want = ", ".join(f"{a}={sizes[a]}" if a in sizes else a for a in letters)
    raise ValueError(f"{name} must have shape ({want}), got {got}")


def sides(value: int | tuple[int, ...], *, axes: int, name: str) -> tuple[int, ...]:
    """One length for each of ``axes`` axes: a single number is repeated.

    Raises:
        ValueError: if the count is another one or a length is not positive.
    """
    lengths = tuple(value) if isinstance(value, Sequence) else (value,) * axes
    fits = len(lengths) == axes and all(isinstance(side, int) and side > 0 for side in lengths)
    require(fits, name, value, f"a positive integer or {axes} of them")
    return lengths


def grid_of(size: tuple[int, ...], patch: tuple[int, ...]) -> tuple[int, ...]:
    """Number of patches along each axis of an input of ``size``.

    Raises:
        ValueError: if a side is not a positive multiple of the patch's.

    Example:
        >>> grid_of((128, 192), (16, 16))
        (8, 12)
    """
    fits = len(size) == len(patch) and all(
        s >= p and s % p == 0 for s, p in zip(size, patch, strict=True)
    )
    require(fits, "size", size, f"a multiple of the patch {patch} along each axis")
    return tuple(s // p for s, p in zip(size, patch, strict=True))
