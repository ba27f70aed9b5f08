"""Checks of the values that metrics take, and ties among sorted values."""

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from avblocks.shapes import require


def require_finite(**values: Float[Tensor, "*_"]) -> None:
    """Raise a ``ValueError`` with the name of a tensor that has NaN or infinity."""
    for name, x in values.items():
        require(bool(x.isfinite().all()), name, "NaN or infinity", "finite")


def require_numbers(**values: Shaped[Tensor, "*_"]) -> None:
    """Raise a ``ValueError`` with the name of a tensor that has NaN."""
    for name, x in values.items():
        require(not bool(x.isnan().any()), name, "NaN", "numbers")


def require_binary(**values: Shaped[Tensor, "*_"]) -> None:
    """Raise a ``ValueError`` with the name of a tensor that has other values than 0 and 1."""
    for name, x in values.items():
        require(bool(((x == 0) | (x == 1)).all()), name, "other values", "zeros and ones")


def last_of_equal(ordered: Shaped[Tensor, "*b n"]) -> Bool[Tensor, "*b n"]:
    """Return which of sorted values are the last of those that equal them.

    A difference would miss that two infinities are equal.

    Example:
        >>> last_of_equal(torch.tensor([torch.inf, torch.inf, 2.0, 1.0, 1.0]))
        tensor([False,  True,  True, False,  True])
    """
    last = torch.ones_like(ordered, dtype=torch.bool)
    last[..., :-1] = ordered[..., 1:] != ordered[..., :-1]
    return last
