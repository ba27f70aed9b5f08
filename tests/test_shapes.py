import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from avblocks.shapes import (
    expect,
    grid_of,
    require_heads,
    require_positive,
    require_share,
    sides,
)

sizes = st.lists(st.integers(1, 5), min_size=1, max_size=4)


@given(sizes)
def test_expect_takes_what_fits(size: list[int]) -> None:
    letters = "abcd"[: len(size)]
    known = dict(zip(letters, size, strict=True))
    x = torch.zeros(size)
    expect(x=(x, " ".join(letters)), **known)
    with pytest.raises(ValueError, match=r"y must have .*, got"):
        expect(x=(x, " ".join(letters)), y=(x[None], " ".join(letters)), **known)


@given(sizes, st.integers(0, 3))
def test_expect_names_the_axis_that_differs(size: list[int], axis: int) -> None:
    axis %= len(size)
    letters = "abcd"[: len(size)]
    with pytest.raises(ValueError, match=rf"x must have .*{letters[axis]}={size[axis] + 1}.*, got"):
        expect(x=(torch.zeros(size), " ".join(letters)), **{letters[axis]: size[axis] + 1})


@given(sizes)
def test_expect_counts_axes(size: list[int]) -> None:
    with pytest.raises(ValueError, match="x must have shape"):
        expect(x=(torch.zeros(size), " ".join("abcde"[: len(size) + 1])))


def test_expect_binds_letters_over_tensors() -> None:
    x, y = torch.zeros(2, 4, 8), torch.zeros(1, 3, 8)
    expect(x=(x, "b n d"), y=(y, "c k d"))
    with pytest.raises(ValueError, match=r"y must have shape \(b=2, k, d=8\), got \(1, 3, 8\)"):
        expect(x=(x, "b n d"), y=(y, "b k d"))
    with pytest.raises(ValueError, match=r"x must have shape \(b, n, n\), got \(2, 4, 8\)"):
        expect(x=(x, "b n n"))


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("value", [0, -1, 1.5, "3", None])
def test_require_positive(value: object) -> None:
    with pytest.raises(ValueError, match="depth must be a positive integer, got"):
        require_positive(width=1, depth=value)


@pytest.mark.parametrize("value", [-0.1, 1.0, 2, float("nan")])
def test_require_share(value: float) -> None:
    require_share(rate=0.0)
    with pytest.raises(ValueError, match=r"rate must be in \[0, 1\), got"):
        require_share(rate=value)


@pytest.mark.parametrize(("dim", "heads"), [(0, 1), (8, 0), (8, 3), (-8, 4), (8, 16)])
def test_require_heads(dim: int, heads: int) -> None:
    with pytest.raises(ValueError, match="must be"):
        require_heads(dim, heads)


def test_sides() -> None:
    assert sides(16, axes=2, name="patch") == (16, 16)
    assert sides((2, 16, 8), axes=3, name="patch") == (2, 16, 8)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("value", [0, -1, (16,), (16, 16, 16), (16, 0), 16.0, (16.0, 16), "16"])
def test_sides_names_what_it_cannot_take(value: object) -> None:
    with pytest.raises(ValueError, match=r"patch must be .*, got"):
        sides(value, axes=2, name="patch")


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=3))
def test_grid_of(pairs: list[tuple[int, int]]) -> None:
    grid, patch = (tuple(side) for side in zip(*pairs, strict=True))
    size = tuple(g * p for g, p in pairs)
    assert grid_of(size, patch) == grid
    with pytest.raises(ValueError, match="size must be a multiple of the patch"):
        grid_of((*size, 1), patch)
    with pytest.raises(ValueError, match="size must be a multiple of the patch"):
        grid_of(size, (*patch[:-1], size[-1] + 1))


def test_grid_of_refuses_empty_sides() -> None:
    with pytest.raises(ValueError, match="got \\(0, 16\\)"):
        grid_of((0, 16), (16, 16))
