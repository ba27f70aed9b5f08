"""Maskers: random, by band, by block and by tube, behind one interface."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from avblocks.nn.mask import Mask
from avblocks.shapes import require, require_positive

Generators = torch.Generator | Sequence[torch.Generator]


@runtime_checkable
class Masker(Protocol):
    """Anything that masks a grid of patches."""

    def __call__(
        self, grid: tuple[int, ...], *, batch: int, generator: Generators | None = None
    ) -> Mask:
        """Mask a grid for each of ``batch`` samples.

        Args:
            grid: patches along each axis, (rows, columns) or (time, rows, columns).
            batch: number of samples.
            generator: one generator for the batch, or one per sample, which makes the mask of a
                sample independent of the rest of the batch.
        """
        ...


def num_kept(n: int, ratio: float) -> int:
    """Return the number of tokens to keep: ``int(n (1 - ratio))`` in floating point, as in MAE.

    Raises:
        ValueError: if no token would be kept, or none masked.
    """
    kept = int(n * (1 - ratio))
    require(0 < kept < n, "ratio", ratio, "a share that keeps and masks some of {} tokens", n)
    return kept


def _noise(
    grid: tuple[int, ...], *, batch: int, generator: Generators | None
) -> Float[Tensor, "b ..."]:
    require_positive(batch=batch)
    if isinstance(generator, Sequence):
        count = len(generator)
        require(count == batch, "generator", count, "one or {} generators", batch)
        return torch.stack([torch.rand(grid, generator=g, device=g.device) for g in generator])
    device = None if generator is None else generator.device
    return torch.rand((batch, *grid), generator=generator, device=device)


def _require_ratio(ratio: float) -> None:
    require(0.0 < ratio < 1.0, "ratio", ratio, "in (0, 1)")


def _require_axes(grid: tuple[int, ...], *, axes: int) -> None:
    require(len(grid) == axes and min(grid) > 0, "grid", grid, "{} positive numbers", axes)


@dataclass(frozen=True)
class RandomMask:
    """Mask random tokens independently (MAE); paper: 0.75 of the image, 0.8 of the audio.

    Args:
        ratio: fraction of the tokens to mask.

    Raises:
        ValueError: if ``ratio`` is not in (0, 1).

    Example:
        >>> mask = RandomMask(0.75)((14, 14), batch=2)
        >>> mask.ids_keep.shape, mask.ids_masked.shape
        (torch.Size([2, 49]), torch.Size([2, 147]))
    """

    ratio: float

    def __post_init__(self) -> None:
        _require_ratio(self.ratio)

    def __call__(
        self, grid: tuple[int, ...], *, batch: int, generator: Generators | None = None
    ) -> Mask:
        """Mask ``n - int(n (1 - ratio))`` tokens of each sample."""
        _require_axes(grid, axes=len(grid))
        n = math.prod(grid)
        order = _noise((n,), batch=batch, generator=generator).argsort(dim=1)
        return Mask.from_order(order, num_kept=num_kept(n, self.ratio))


@dataclass(frozen=True)
class BandMask:
    """Mask random time or frequency bands of a spectrogram (AudioMAE).

    Args:
        ratio: fraction of the bands to mask.
        axis: ``"time"`` masks columns of the patch grid, ``"frequency"`` rows.

    Raises:
        ValueError: if ``ratio`` is not in (0, 1) or ``axis`` is unknown.

    Example:
        >>> BandMask(0.5, axis="time")((8, 12), batch=1).is_masked.view(8, 12).sum(1)
        tensor([6, 6, 6, 6, 6, 6, 6, 6])
    """

    ratio: float
    axis: Literal["time", "frequency"]

    def __post_init__(self) -> None:
        _require_ratio(self.ratio)
        require(self.axis in ("time", "frequency"), "axis", self.axis, "'time' or 'frequency'")

    def __call__(
        self, grid: tuple[int, ...], *, batch: int, generator: Generators | None = None
    ) -> Mask:
        """Mask ``g - int(g (1 - ratio))`` of the ``g`` bands of each sample."""
        _require_axes(grid, axes=2)
        rows, columns = grid
        across = rows if self.axis == "time" else columns
        bands = math.prod(grid) // across
        noise = _noise((bands,), batch=batch, generator=generator)
        view = noise[:, None, :] if self.axis == "time" else noise[:, :, None]
        order = view.expand(-1, rows, columns).flatten(1).argsort(dim=1, stable=True)
        return Mask.from_order(order, num_kept=across * num_kept(bands, self.ratio))


@dataclass(frozen=True)
class BlockMask:
    """Mask random square blocks of patches, on a lattice that is shifted for each sample.

    Args:
        ratio: fraction of the tokens to mask, which is exact: the last block may be cut.
        block: side of a block in patches.

    Raises:
        ValueError: if ``ratio`` is not in (0, 1) or ``block`` is not positive.

    Example:
        >>> BlockMask(0.5, block=4)((8, 8), batch=1).is_masked.sum()
        tensor(32)
    """

    ratio: float
    block: int = 4

    def __post_init__(self) -> None:
        _require_ratio(self.ratio)
        require_positive(block=self.block)

    def __call__(
        self, grid: tuple[int, ...], *, batch: int, generator: Generators | None = None
    ) -> Mask:
        """Mask ``n - int(n (1 - ratio))`` tokens of each sample, block by block."""
        _require_axes(grid, axes=2)
        (rows, columns), n, side = grid, math.prod(grid), self.block
        # Two extra columns hold the shift of the lattice, so that one draw per sample suffices.
        tall, wide = math.ceil(rows / side) + 1, math.ceil(columns / side) + 1
        noise = _noise((tall * wide + 2,), batch=batch, generator=generator)
        shift = (noise[:, -2:] * side).long()
        row = (torch.arange(rows, device=noise.device) + shift[:, :1]) // side
        column = (torch.arange(columns, device=noise.device) + shift[:, 1:]) // side
        blocks = (row[:, :, None] * wide + column[:, None, :]).flatten(1)
        order = noise.gather(1, blocks).argsort(dim=1, stable=True)
        return Mask.from_order(order, num_kept=num_kept(n, self.ratio))


@dataclass(frozen=True)
class TubeMask:
    """Mask the same patches in every frame of a video (VideoMAE).

    Args:
        masker: masker of the (rows, columns) of one frame.

    Example:
        >>> mask = TubeMask(RandomMask(0.75))((4, 8, 8), batch=1)
        >>> mask.is_masked.view(4, 64).sum(1)
        tensor([48, 48, 48, 48])
    """

    masker: Masker

    def __call__(
        self, grid: tuple[int, ...], *, batch: int, generator: Generators | None = None
    ) -> Mask:
        """Repeat the mask of one frame along the first axis of the grid."""
        _require_axes(grid, axes=3)
        frames, area = grid[0], grid[1] * grid[2]
        frame = self.masker(grid[1:], batch=batch, generator=generator)

        def along(ids: Int64[Tensor, "b k"]) -> Int64[Tensor, "b k_t"]:
            starts = area * torch.arange(frames, device=ids.device)
            return (ids[:, None, :] + starts[:, None]).flatten(1)

        predicted = None if frame.ids_predicted is None else along(frame.ids_predicted)
        return Mask(along(frame.ids_keep), along(frame.ids_masked), predicted)
