"""Position embeddings of patches: modules with a fixed or a learned table, for any grid."""

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from avblocks.nn.init import normal
from avblocks.nn.mask import Mask
from avblocks.nn.sincos import require_grid, sincos_position
from avblocks.shapes import expect, require, require_positive


def resize_position(
    table: Float[Tensor, "n d"],
    *,
    grid: tuple[int, ...],
    new_grid: tuple[int, ...],
    antialias: bool = False,
) -> Float[Tensor, "n_new d"]:
    """Interpolate a learned table to another grid: bicubic in 2-D, trilinear in 3-D.

    Args:
        table: positions in row-major order of ``grid``.
        grid: patches along each axis of the table.
        new_grid: patches along each axis of the result.
        antialias: antialiasing, only in 2-D (DINOv2 with registers). It also changes upsampling:
            PyTorch then uses a bicubic kernel with a = -0.5 instead of -0.75.

    Raises:
        RuntimeError: if the table does not have the grid's size or a side is not positive.
        ValueError: if the grids have different numbers of axes.
    """
    volume = rearrange(table, "n d -> 1 d n").unflatten(2, grid)
    if grid == new_grid:
        return table
    mode = "bicubic" if len(grid) == 2 else "trilinear"
    resized = F.interpolate(
        volume.float(), size=new_grid, mode=mode, align_corners=False, antialias=antialias
    )
    return rearrange(resized.flatten(2), "1 d n -> n d").to(table.dtype)


class SinCosPosition(nn.Module):
    """Fixed positions, computed for any grid; without parameters or entries in the state dict.

    Args:
        dim: width of a token.
        grid: the default grid, whose table is precomputed.
        formula: function of width and grid that returns positions.

    Example:
        >>> SinCosPosition(32, grid=(4, 6))((4, 9)).shape
        torch.Size([36, 32])
    """

    table: Float[Tensor, "n d"]

    def __init__(
        self,
        dim: int,
        *,
        grid: tuple[int, ...],
        formula: Callable[[int, tuple[int, ...]], Tensor] = sincos_position,
    ) -> None:
        super().__init__()
        self.dim, self.grid, self.formula = dim, tuple(grid), formula
        self.register_buffer("table", self._table(), persistent=False)
        self.register_load_state_dict_pre_hook(_fill)

    def reset_parameters(self) -> None:
        """Recompute the table, for a model that was built on the meta device."""
        self.table.copy_(self.formula(self.dim, self.grid))

    def _table(self) -> Float[Tensor, "n d"]:
        """Compute the table; on "meta", where that imports torch's compiler, only its shape."""
        if torch.get_default_device().type != "meta":
            return self.formula(self.dim, self.grid)
        require_grid(grid=self.grid)
        with torch.device("cpu"):
            (row,) = self.formula(self.dim, (1,) * len(self.grid))
        return torch.empty(math.prod(self.grid), *row.shape)

    def forward(self, grid: tuple[int, ...]) -> Float[Tensor, "n d"]:
        """Positions of ``grid`` in its row-major order."""
        if tuple(grid) == self.grid:
            return self.table
        return self.formula(self.dim, grid).to(self.table)


def _fill(module: nn.Module, *_: object) -> None:
    """Compute the table when weights are loaded: it is not in the file, and may be empty."""
    assert isinstance(module, SinCosPosition)
    if module.table.is_meta:
        module.table = torch.empty(module.table.shape, dtype=module.table.dtype, device="cpu")
    module.reset_parameters()


def place_positions(module: nn.Module, state: dict[str, Any], prefix: str, *_: object) -> None:
    """Hook that moves tables of fixed positions from "meta" to the device of loaded weights."""
    floats = [x for n, x in state.items() if n.startswith(prefix) and x.is_floating_point()]
    for position in module.children():
        if isinstance(position, SinCosPosition) and position.table.is_meta and floats:
            like = {"device": floats[0].device, "dtype": floats[0].dtype}
            position.table = torch.empty(position.table.shape, **like)


class LearnedPosition(nn.Module):
    """A learned table, interpolated for other grids.

    Args:
        dim: width of a token.
        grid: the grid of the learned positions.
        antialias: antialiasing of the interpolation, as in `resize_position`.
        start: function of width and grid that returns the initial positions; normal with a standard
            deviation of 0.02, as in ViT, if not given.

    Example:
        >>> LearnedPosition(32, grid=(4, 6))((8, 12)).shape
        torch.Size([96, 32])
    """

    def __init__(
        self,
        dim: int,
        *,
        grid: tuple[int, ...],
        antialias: bool = False,
        start: Callable[[int, tuple[int, ...]], Tensor] | None = None,
    ) -> None:
        super().__init__()
        require_positive(dim=dim)
        require_grid(grid=grid)
        require(len(grid) == 2 or not antialias, "antialias", antialias, "False in 3-D")
        self.dim, self.grid, self.antialias, self.start = dim, tuple(grid), antialias, start
        self.table = nn.Parameter(torch.empty(math.prod(grid), dim))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Set the initial positions."""
        if self.start is None:
            normal(self.table)
        else:
            self.table.copy_(self.start(self.dim, self.grid))

    def forward(self, grid: tuple[int, ...]) -> Float[Tensor, "n d"]:
        """Positions of ``grid`` in its row-major order."""
        return resize_position(
            self.table, grid=self.grid, new_grid=tuple(grid), antialias=self.antialias
        )


def decoder_positions(
    decoder: Any,
    kept: Float[Tensor, "b k d"],
    *,
    fusion: Float[Tensor, "b n_f d"],
    mask: Mask,
    grid: tuple[int, ...],
) -> Float[Tensor, "n d_dec"]:
    """Return the positions of a decoder for a grid, after a check of the tokens and the mask.

    Args:
        decoder: a module with ``pos_embed``, ``mask_token`` and ``encoder_dim``.
        kept: tokens of the kept patches from the encoder.
        fusion: fusion tokens from the encoder.
        mask: mask over the patches.
        grid: patches along each axis.

    Raises:
        ValueError: if the tokens do not match the mask, or the mask does not match the grid.
    """
    b, k = mask.ids_keep.shape
    expect(kept=(kept, "b k d"), fusion=(fusion, "b n_f d"), b=b, k=k, d=decoder.encoder_dim)
    position = decoder.pos_embed(grid).to(decoder.mask_token.dtype)
    n = position.shape[0]
    require(mask.num_tokens == n, "mask", mask.num_tokens, "over the grid's {} patches", n)
    return position
