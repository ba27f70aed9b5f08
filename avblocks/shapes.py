"""Axis letters of annotations, einops patterns and docs, and checks of sizes.

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
from typing import Any

import torch
from torch import Tensor

FLOATS = "of floats in [-1, 1], integers divided by their highest value"
"""What audio samples must be, for errors."""


def require(fits: bool, name: str, value: object, takes: str, *given: object) -> None:
    """Raise a ``ValueError`` with the name, allowed values and value of an argument unless it fits.

    For checks in every batch, pass sizes as ``given`` for the fields of ``takes``: the text is then
    formatted only on failure, and `torch.compile` does not specialize on the sizes.

    Example:
        >>> require(3 == 2, "audio", 3, "a batch of {}", 2)
        Traceback (most recent call last):
        ValueError: audio must be a batch of 2, got 3
    """
    if not fits:
        raise ValueError(
            f"{name} must be {takes.format(*given) if given else takes}, got {value!r}"
        )


def require_floats(**audio: Tensor) -> None:
    """Raise a ``ValueError`` with the name of a waveform of integers."""
    for name, x in audio.items():
        require(x.is_floating_point(), name, x.dtype, FLOATS)


def require_classes(**masks: Tensor) -> None:
    """Raise a ``ValueError`` with the name of a mask of probabilities or logits."""
    for name, x in masks.items():
        whole = not (x.is_floating_point() or x.is_complex())
        require(whole, name, x.dtype, "class numbers or a binary mask, such as x > threshold")


def require_choice(*choices: str, **values: str) -> None:
    """Raise a ``ValueError`` unless all arguments are one of the choices.

    Example:
        >>> require_choice("train", "test", split="val")
        Traceback (most recent call last):
        ValueError: split must be one of ('train', 'test'), got 'val'
    """
    for name, value in values.items():
        require(value in choices, name, value, f"one of {choices}")


def require_positive(**values: int) -> None:
    """Raise a ``ValueError`` unless all arguments are integers above zero."""
    for name, value in values.items():
        require(isinstance(value, int) and value > 0, name, value, "a positive integer")


def require_above_zero(**values: float) -> None:
    """Raise a ``ValueError`` unless all arguments are finite and above zero."""
    for name, value in values.items():
        require(0.0 < value < math.inf, name, value, "a finite number above zero")


def require_weight(**values: float) -> None:
    """Raise a ``ValueError`` unless all arguments are finite and not below zero."""
    for name, value in values.items():
        require(0.0 <= value < math.inf, name, value, "a finite number of 0 or more")


def require_count(**values: int) -> None:
    """Raise a ``ValueError`` unless all arguments are integers of 0 or more."""
    for name, value in values.items():
        require(isinstance(value, int) and value >= 0, name, value, "an integer of 0 or more")


def require_share(**values: float) -> None:
    """Raise a ``ValueError`` unless all arguments are in ``[0, 1)``."""
    for name, value in values.items():
        require(0.0 <= value < 1.0, name, value, "in [0, 1)")


def require_heads(dim: int, num_heads: int) -> None:
    """Raise a ``ValueError`` unless ``num_heads`` heads share ``dim`` evenly."""
    require_positive(dim=dim, num_heads=num_heads)
    require(dim % num_heads == 0, "num_heads", num_heads, f"a divisor of the width {dim}")


def share_of(dim: int, **ratio: float) -> int:
    """Return a multiple of ``dim``, rounded down.

    Raises:
        ValueError: if ``dim`` is not a positive integer, or the named ratio is not positive.

    Example:
        >>> share_of(64, attn_ratio=0.25)
        16
    """
    require_positive(dim=dim)
    ((name, value),) = ratio.items()
    fits = math.isfinite(value) and dim * value >= 1
    require(fits, name, value, f"at least 1 / {dim}")
    return int(dim * value)


def expect(**given: tuple[Tensor, str] | int) -> None:
    """Check the shapes of input tensors, so that wrong shapes never broadcast.

    A letter must have the same size in all tensors.

    Args:
        **given: tensors by name with their axis letters, as in ``image=(image, "b n d")``, and
            known sizes of letters, as in ``d=64``.

    Raises:
        ValueError: with the name of the tensor, if the number of its axes or a size differs.

    Example:
        >>> import torch
        >>> image, audio = torch.zeros(2, 4, 8), torch.zeros(1, 3, 8)
        >>> expect(image=(image, "b n_v d"), audio=(audio, "b n_a d"), d=8)
        Traceback (most recent call last):
        ValueError: audio must have shape (b=2, n_a, d=8), got (1, 3, 8)
    """
    sizes = {name: size for name, size in given.items() if not isinstance(size, tuple)}
    for name, value in given.items():
        if isinstance(value, tuple):
            tensor, letters = value[0], value[1].split()
            own = dict(zip(letters, tensor.shape, strict=False))
            if tensor.ndim != len(letters) or any(
                sizes.get(letter, own[letter]) != size
                for letter, size in zip(letters, tensor.shape, strict=True)
            ):
                want = ", ".join(f"{x}={sizes[x]}" if x in sizes else x for x in letters)
                raise ValueError(f"{name} must have shape ({want}), got {tuple(tensor.shape)}")
            sizes |= own


def sides(value: int | tuple[int, ...], *, axes: int, name: str) -> tuple[int, ...]:
    """Return one length for each of ``axes`` axes; a single number is repeated.

    Raises:
        ValueError: if the number of lengths differs, or one is not positive.
    """
    lengths = tuple(value) if isinstance(value, Sequence) else (value,) * axes
    fits = len(lengths) == axes and all(isinstance(side, int) and side > 0 for side in lengths)
    require(fits, name, value, f"a positive integer or {axes} of them")
    return lengths


def grid_of(size: tuple[int, ...], patch: tuple[int, ...]) -> tuple[int, ...]:
    """Return the number of patches along each axis of an input of ``size``.

    Raises:
        ValueError: if a side is not a positive multiple of the patch.

    Example:
        >>> grid_of((128, 192), (16, 16))
        (8, 12)
    """
    fits = len(size) == len(patch) and all(
        s >= p and s % p == 0 for s, p in zip(size, patch, strict=True)
    )
    require(fits, "size", size, "a multiple of the patch {} along each axis", patch)
    return tuple(s // p for s, p in zip(size, patch, strict=True))


def strided_grid(
    size: tuple[int, ...], patch: tuple[int, ...], *, stride: tuple[int, ...]
) -> tuple[int, ...]:
    """Return the number of possibly overlapping patches that fit along each axis.

    Raises:
        ValueError: if a side is smaller than the patch or, without overlap, not a multiple of it.

    Example:
        >>> strided_grid((128, 1024), (16, 16), stride=(10, 10))
        (12, 101)
    """
    if stride == patch:
        return grid_of(size, patch)
    fits = len(size) == len(patch) and all(s >= p for s, p in zip(size, patch, strict=True))
    require(fits, "size", size, "at least the patch {} along each axis", patch)
    return tuple((s - p) // step + 1 for s, p, step in zip(size, patch, stride, strict=True))


def given(**optional: Any) -> dict[str, Any]:
    """Return the arguments that are not ``None``, to call modules that may not accept all of them.

    Example:
        >>> given(valid=None, context=1)
        {'context': 1}
    """
    return {name: value for name, value in optional.items() if value is not None}


def require_bool(**masks: Tensor) -> None:
    """Raise a ``ValueError`` unless tensors are boolean: PyTorch would add others to its logits.

    Example:
        >>> require_bool(valid=torch.ones(2))
        Traceback (most recent call last):
        ValueError: valid must be boolean, as valid > 0 is, got torch.float32
    """
    for name, mask in masks.items():
        if mask.dtype is not torch.bool:
            raise ValueError(f"{name} must be boolean, as {name} > 0 is, got {mask.dtype}")


def as_dtype(dtype: torch.dtype, **given: Tensor) -> Tensor:
    """Convert an input to the data type of the weights, if its values are preserved.

    Under autocast, which converts by itself, the tensor is not changed.

    Raises:
        TypeError: with the name, if the input is no tensor, such as an array or an image.
        ValueError: with the name and both types, if the tensor is not floating or would be rounded.

    Example:
        >>> as_dtype(torch.bfloat16, image=torch.zeros(1))
        Traceback (most recent call last):
        ValueError: image is torch.float32 and the weights are torch.bfloat16: convert one of them
    """
    ((name, x),) = given.items()
    if not isinstance(x, Tensor):
        kind = f"{type(x).__module__}.{type(x).__name__}"
        raise TypeError(f"{name} is a {kind}: give a torch.Tensor")
    if x.dtype == dtype or (x.is_floating_point() and torch.is_autocast_enabled(x.device.type)):
        return x
    if not x.is_floating_point():
        remedy = "scale and normalize its values first, as FrontEnd does"
    elif torch.promote_types(x.dtype, dtype) != dtype:
        remedy = "convert one of them"
    else:
        return x.to(dtype)
    raise ValueError(f"{name} is {x.dtype} and the weights are {dtype}: {remedy}")
