import itertools
import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from avblocks import BandMask, BlockMask, Mask, Masker, RandomMask, TubeMask

MASKERS: list[tuple[Callable[[float], Masker], tuple[int, ...]]] = [
    (RandomMask, (6, 8)),
    (RandomMask, (2, 3, 4)),
    (lambda ratio: BandMask(ratio, axis="time"), (6, 8)),
    (lambda ratio: BandMask(ratio, axis="frequency"), (8, 6)),
    (lambda ratio: BlockMask(ratio, block=2), (6, 8)),
    (lambda ratio: TubeMask(RandomMask(ratio)), (3, 4, 4)),
    (lambda ratio: TubeMask(BlockMask(ratio, block=2)), (3, 4, 4)),
]
everyone = pytest.mark.parametrize(("make", "grid"), MASKERS)


def seeded(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def same(a: Mask, b: Mask) -> bool:
    return torch.equal(a.ids_keep, b.ids_keep) and torch.equal(a.ids_masked, b.ids_masked)


@everyone
def test_a_masker_permutes_all_tokens(make: Callable, grid: tuple[int, ...]) -> None:
    assert isinstance(make(0.5), Masker)
    mask, n = make(0.5)(grid, batch=3), math.prod(grid)
    every = torch.cat((mask.ids_keep, mask.ids_masked), dim=1).sort(dim=1).values
    assert torch.equal(every, torch.arange(n).expand(3, n))
    assert mask.ids_keep.shape == (3, n // 2)


@everyone
def test_seeds(make: Callable, grid: tuple[int, ...]) -> None:
    masker = make(0.5)
    once, again, other = (
        masker(grid, batch=8, generator=generator) for generator in seeded(1, 1, 2)
    )
    assert same(once, again) and not same(once, other)
    assert len({tuple(row.tolist()) for row in once.is_masked}) > 1
    torch.manual_seed(3)
    plain = masker(grid, batch=8)
    torch.manual_seed(3)
    assert same(plain, masker(grid, batch=8))


@everyone
def test_one_generator_a_sample_ignores_the_batch(make: Callable, grid: tuple[int, ...]) -> None:
    masker = make(0.5)
    batch = masker(grid, batch=3, generator=seeded(4, 5, 6))
    alone = masker(grid, batch=1, generator=seeded(5))
    assert torch.equal(batch.ids_keep[1:2], alone.ids_keep)
    with pytest.raises(ValueError, match="generator must be one or 3 generators, got 2"):
        masker(grid, batch=3, generator=seeded(4, 5))


@given(st.integers(2, 300), st.floats(0.01, 0.99))
def test_kept_counts(n: int, ratio: float) -> None:
    kept = int(n * (1 - ratio))
    if kept == 0 or kept == n:
        with pytest.raises(ValueError, match=f"ratio must be .* {n} tokens"):
            RandomMask(ratio)((1, n), batch=1)
        return
    assert RandomMask(ratio)((1, n), batch=2).ids_keep.shape == (2, kept)
    assert BlockMask(ratio, block=3)((1, n), batch=2).ids_keep.shape == (2, kept)
    assert BandMask(ratio, axis="time")((2, n), batch=2).ids_keep.shape == (2, 2 * kept)
    assert BandMask(ratio, axis="frequency")((n, 2), batch=2).ids_keep.shape == (2, 2 * kept)


def test_paper_counts() -> None:
    assert RandomMask(0.75)((14, 14), batch=1).ids_keep.shape == (1, 49)
    assert RandomMask(0.8)((8, 12), batch=1).ids_keep.shape == (1, 19)


@given(st.integers(1, 6), st.integers(2, 6))
def test_bands_are_whole(across: int, bands: int) -> None:
    time = BandMask(0.5, axis="time")((across, bands), batch=4).is_masked
    frequency = BandMask(0.5, axis="frequency")((bands, across), batch=4).is_masked
    columns, rows = time.view(4, across, bands), frequency.view(4, bands, across)
    assert torch.equal(columns, columns[:, :1].expand_as(columns))
    assert torch.equal(rows, rows[:, :, :1].expand_as(rows))


@given(st.integers(3, 9), st.integers(3, 9), st.integers(1, 4), st.floats(0.3, 0.7))
def test_blocks_are_whole_but_for_one(rows: int, columns: int, side: int, ratio: float) -> None:
    for masked in BlockMask(ratio, block=side)((rows, columns), batch=4).is_masked:
        cells = list(zip(itertools.product(range(rows), range(columns)), masked, strict=True))

        def cut(down: int, right: int, cells: list = cells) -> int:
            blocks: dict[tuple[int, int], set[bool]] = {}
            for (i, j), hidden in cells:
                block = ((i + down) // side, (j + right) // side)
                blocks.setdefault(block, set()).add(bool(hidden))
            return sum(len(seen) > 1 for seen in blocks.values())

        assert min(cut(*shift) for shift in itertools.product(range(side), repeat=2)) <= 1


def test_the_lattice_of_blocks_shifts() -> None:
    masked = BlockMask(0.5, block=2)((4, 4), batch=100).is_masked.view(100, 4, 4)
    assert (masked[:, 0, 0] != masked[:, 0, 1]).any() and (masked[:, 0, 0] != masked[:, 1, 0]).any()
    assert (
        (masked[:, 1, 1] == masked[:, 1, 2]).sum() > 50 < (masked[:, 1, 1] == masked[:, 2, 1]).sum()
    )


def test_tubes_are_the_same_in_every_frame() -> None:
    masked = TubeMask(RandomMask(0.75))((3, 4, 4), batch=5).is_masked.view(5, 3, 16)
    assert torch.equal(masked, masked[:, :1].expand_as(masked))


def test_tubes_predict_what_their_frames_predict() -> None:
    def some(grid: tuple[int, ...], *, batch: int, generator: object = None) -> Mask:
        return RandomMask(0.75)(grid, batch=batch).predicting(0.5)

    mask = TubeMask(some)((3, 4, 4), batch=5)
    assert mask.to_predict.shape == (5, 3 * 6) and mask.ids_masked.shape == (5, 3 * 12)
    rows = zip(mask.to_predict.tolist(), mask.ids_masked.tolist(), strict=True)
    assert all(set(predicted) <= set(masked) for predicted, masked in rows)


@pytest.mark.parametrize("make", [RandomMask, lambda ratio: BandMask(ratio, axis="time")])
def test_every_token_is_masked_as_often(make: Callable) -> None:
    often = make(0.75)((4, 8), batch=4000).is_masked.double().mean(dim=0)
    assert (often - 0.75).abs().max() < 5 * (0.75 * 0.25 / 4000) ** 0.5


@pytest.mark.parametrize(
    ("masker", "grid"),
    [
        (BandMask(0.5, axis="time"), (2, 4, 4)),
        (BlockMask(0.5), (16,)),
        (TubeMask(RandomMask(0.5)), (4, 4)),
        (RandomMask(0.5), (-4, -4)),
        (RandomMask(0.5), (0, 4)),
        (BlockMask(0.5), (0, 4)),
    ],
)
def test_grids_that_do_not_fit(masker: Masker, grid: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"grid must be .*positive numbers, got"):
        masker(grid, batch=1)


def test_batch_must_be_positive() -> None:
    with pytest.raises(ValueError, match="batch must be a positive integer, got 0"):
        RandomMask(0.5)((4, 4), batch=0)


@pytest.mark.cuda
@everyone
def test_masks_lie_where_their_generators_do(
    make: Callable, grid: tuple[int, ...], device: str
) -> None:
    one = torch.Generator(device).manual_seed(1)
    for generator in (one, [one, one]):
        mask = make(0.5)(grid, batch=2, generator=generator)
        order = torch.cat((mask.ids_keep, mask.ids_masked), dim=1)
        assert order.device.type == device
        whole = torch.arange(math.prod(grid)).expand(2, -1)
        assert torch.equal(order.sort(dim=1).values.cpu(), whole)
