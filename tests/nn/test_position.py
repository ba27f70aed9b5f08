import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from avblocks import LearnedPosition, SinCosPosition, resize_position, sincos_position
from avblocks.nn import sequence_position


def wave(width: int, at: int) -> list[float]:
    """``width / 2`` sines, then as many cosines, of falling frequency."""
    half = width // 2
    angles = [at / 10000 ** (i / half) for i in range(half)]
    return [math.sin(a) for a in angles] + [math.cos(a) for a in angles]


@given(st.integers(1, 4), st.lists(st.integers(1, 5), min_size=2, max_size=3).map(tuple))
def test_sincos_is_the_formula(unit: int, grid: tuple[int, ...]) -> None:
    dim = 8 * unit
    rows = []
    for cell in itertools.product(*map(range, grid)):
        *time, row, column = cell
        if time:
            quarter = dim // 4
            rows.append(wave(dim // 2, time[0]) + wave(quarter, row) + wave(quarter, column))
        else:
            rows.append(wave(dim // 2, column) + wave(dim // 2, row))
    table = sincos_position(dim, grid)
    assert table.dtype == torch.float32
    assert_close(table, torch.tensor(rows), rtol=0, atol=1e-6)


@given(st.integers(1, 9), st.lists(st.integers(1, 3), min_size=2, max_size=3).map(tuple))
def test_sequence_positions_are_those_of_the_transformer(dim: int, grid: tuple[int, ...]) -> None:
    rows = [
        [(math.cos if i % 2 else math.sin)(at / 10000 ** ((i - i % 2) / dim)) for i in range(dim)]
        for at in range(math.prod(grid))
    ]
    assert_close(sequence_position(dim, grid), torch.tensor(rows), rtol=0, atol=1e-6)
    other = SinCosPosition(dim, grid=(5, 2), formula=sequence_position)
    assert torch.equal(other(grid), sequence_position(dim, grid))
    with torch.device("meta"):
        empty = SinCosPosition(dim, grid=grid, formula=sequence_position)
    empty.to_empty(device="cpu").reset_parameters()
    assert torch.equal(empty(grid), sequence_position(dim, grid))


def test_antialiasing_means_over_what_shrinks_and_is_refused_in_3_d() -> None:
    learned = LearnedPosition(2, grid=(4, 4), antialias=True)
    flat = learned.table.new_ones(16, 1) * learned.table.new_tensor([2.0, -1.0])
    with torch.no_grad():
        learned.table.copy_(flat)
    assert_close(learned((2, 3)), flat[:6])
    with pytest.raises(ValueError, match="antialias must be False in 3-D"):
        LearnedPosition(2, grid=(2, 2, 2), antialias=True)


def test_fixed_positions_are_recomputed_elsewhere() -> None:
    fixed = SinCosPosition(16, grid=(2, 3))
    assert torch.equal(fixed((2, 3)), sincos_position(16, (2, 3)))
    assert torch.equal(fixed((5, 4)), sincos_position(16, (5, 4)))
    assert torch.equal(fixed((3, 2)), sincos_position(16, (3, 2)))
    assert not fixed.state_dict() and not list(fixed.parameters())
    assert fixed.double()((5, 4)).dtype == torch.float64


def test_fixed_positions_survive_the_meta_device() -> None:
    with torch.device("meta"):
        fixed = SinCosPosition(16, grid=(2, 3))
    fixed.to_empty(device="cpu").reset_parameters()
    assert torch.equal(fixed((2, 3)), sincos_position(16, (2, 3)))


@given(st.lists(st.integers(1, 4), min_size=2, max_size=3).map(tuple))
def test_same_grid_is_the_identity(grid: tuple[int, ...]) -> None:
    learned = LearnedPosition(4, grid=grid)
    assert learned(grid) is learned.table


@pytest.mark.parametrize("grid", [(2, 2), (2, 2, 2)])
def test_halving_is_the_mean(grid: tuple[int, ...]) -> None:
    table = torch.randn(math.prod(grid), 4)
    small = resize_position(table, grid=grid, new_grid=(1,) * len(grid))
    assert_close(small, table.mean(dim=0, keepdim=True))


@given(st.integers(2, 4), st.integers(2, 4), st.integers(1, 6), st.integers(1, 6))
def test_rows_stay_rows(rows: int, columns: int, new_rows: int, new_columns: int) -> None:
    by_row = torch.randn(rows, 1, 3).expand(rows, columns, 3).reshape(-1, 3)
    resized = resize_position(by_row, grid=(rows, columns), new_grid=(new_rows, new_columns))
    resized = resized.view(new_rows, new_columns, 3)
    assert_close(resized, resized[:, :1].expand_as(resized))


def test_a_learned_table_learns_through_the_interpolation() -> None:
    learned = LearnedPosition(4, grid=(2, 3)).bfloat16()
    out = learned((4, 5))
    assert out.shape == (20, 4) and out.dtype == torch.bfloat16
    out.sum().backward()
    assert learned.table.grad.abs().min() > 0


@pytest.mark.parametrize(
    ("rows", "grid", "new_grid"),
    [
        (5, (2, 3), (4, 4)),
        (5, (2, 3), (2, 3)),
        (6, (2, 3), (4, 4, 4)),
        (6, (2, 3), (4, 0)),
        (6, (2, 3), (4, -4)),
        (6, (1, 2, 3), (4, 4)),
    ],
)
def test_resize_refuses(rows: int, grid: tuple[int, ...], new_grid: tuple[int, ...]) -> None:
    with pytest.raises((ValueError, RuntimeError)):
        resize_position(torch.zeros(rows, 4), grid=grid, new_grid=new_grid)
