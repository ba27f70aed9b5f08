"""Fixed sine-cosine positions of the patches of a grid."""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from avblocks.shapes import require, require_positive


def require_grid(**grids: tuple[int, ...]) -> None:
    """Raise a ``ValueError`` unless all grids have two or three axes."""
    for name, grid in grids.items():
        fits = len(grid) in (2, 3) and min(grid) > 0
        require(fits, name, grid, "two or three positive numbers")


def _sincos(dim: int, coordinates: Float[Tensor, " n"]) -> Float[Tensor, "n d"]:
    omega = 10000.0 ** -(torch.arange(dim // 2, dtype=torch.float64) / (dim / 2))
    angle = coordinates.double()[:, None] * omega
    return torch.cat((angle.sin(), angle.cos()), dim=1)


def sincos_position(dim: int, grid: tuple[int, ...]) -> Float[Tensor, "n d"]:
    """Fixed sine-cosine positions of a 2-D or 3-D grid, in its row-major order.

    In 2-D the first half of the width encodes the column and the second the row (MAE's order);
    in 3-D the first half encodes time, then a quarter the row and a quarter the column (the
    reference, ``util/pos_embed.py``).

    Args:
        dim: width, a multiple of 4 in 2-D and of 8 in 3-D.
        grid: patches along each axis, (rows, columns) or (time, rows, columns).

    Raises:
        ValueError: if the width is not such a multiple, or the grid does not have two or three
            axes.

    Example:
        >>> sincos_position(64, (8, 12)).shape
        torch.Size([96, 64])
    """
    require_grid(grid=grid)
    unit = 4 if len(grid) == 2 else 8
    require(dim > 0 and dim % unit == 0, "dim", dim, f"a multiple of {unit}")
    axes = torch.meshgrid([torch.arange(side).float() for side in grid], indexing="ij")
    *time, row, column = (axis.flatten() for axis in axes)
    if time:
        parts = _sincos(dim // 2, time[0]), _sincos(dim // 4, row), _sincos(dim // 4, column)
    else:
        parts = _sincos(dim // 2, column), _sincos(dim // 2, row)
    return torch.cat(parts, dim=1).float()


def fixed_grid(
    table: Float[Tensor, "n d"],
    formula: Callable[[int, tuple[int, ...]], Tensor] = sincos_position,
) -> tuple[int, int] | None:
    """Return the 2-D grid whose positions by a formula a table has; ``None`` if it was trained.

    Example:
        >>> fixed_grid(sincos_position(64, (8, 12)))
        (8, 12)
    """
    count, dim = table.shape
    if dim % 4 or not table.is_floating_point():
        return None
    near = max(1e-3, torch.finfo(table.dtype).eps)
    for rows in (n for n in range(1, count + 1) if count % n == 0):
        grid = (rows, count // rows)
        if torch.allclose(table.float().cpu(), formula(dim, grid), rtol=0, atol=near):
            return grid
    return None


def sequence_position(dim: int, grid: tuple[int, ...]) -> Float[Tensor, "n d"]:
    """Fixed sine-cosine positions along the row-major order of a grid, as of a text sequence.

    Sines and cosines alternate (Vaswani et al. 2017), as in VideoMAE.

    Args:
        dim: width.
        grid: patches along each axis.

    Example:
        >>> sequence_position(4, (1, 2))
        tensor([[0.0000, 1.0000, 0.0000, 1.0000],
                [0.8415, 0.5403, 0.0100, 0.9999]])
    """
    require_positive(dim=dim)
    require_grid(grid=grid)
    pair = torch.arange(dim) // 2
    omega = 10000.0 ** -(2 * pair.double() / dim)
    angle = torch.arange(math.prod(grid)).double()[:, None] * omega
    return torch.where(torch.arange(dim) % 2 == 0, angle.sin(), angle.cos()).float()
