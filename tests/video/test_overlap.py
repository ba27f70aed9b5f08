"""Overlap-add."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from avblocks.video import OverlapAdd, overlap_add
from avblocks.video.windows import window_starts


@given(st.integers(1, 60), st.integers(1, 20), st.integers(1, 20))
def test_windows_of_a_signal_join_to_the_signal(num_samples: int, length: int, hop: int) -> None:
    starts = window_starts(num_samples, length=length, hop=min(hop, length))
    signal = torch.randn(2, max(num_samples, length))
    windows = (signal[:, start : start + length] for start in starts)
    pieces = list(overlap_add(windows, starts=starts, num_samples=num_samples))
    assert torch.allclose(torch.cat(pieces, dim=1), signal[:, :num_samples], atol=1e-6)
    assert all(piece.shape[1] <= length for piece in pieces)


def test_windows_fade_into_each_other() -> None:
    join = OverlapAdd(1, length=100, num_samples=150)
    pieces = [join.add(torch.zeros(1, 100), start=0), join.add(torch.ones(1, 100), start=50)]
    joined = torch.cat([*pieces, join.flush()], dim=1)[0]
    assert not joined[:50].any() and (joined[100:] == 1).all()
    steps = joined[49:101].diff()
    assert (steps >= 0).all() and steps.max() < 0.05


@pytest.mark.usefixtures("unchecked")
def test_gaps_and_wrong_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="start"):
        OverlapAdd(1, length=4, num_samples=9).add(torch.ones(1, 4), start=1)
    join = OverlapAdd(1, length=4, num_samples=9)
    join.add(torch.ones(1, 4), start=0)
    for start in (5, -1):
        with pytest.raises(ValueError, match="start"):
            join.add(torch.ones(1, 4), start=start)
    with pytest.raises(ValueError, match="longer than argument"):
        list(overlap_add([torch.ones(1, 4)], starts=(0, 4), num_samples=8))
    with pytest.raises(ValueError, match="num_samples"):
        OverlapAdd(1, length=4, num_samples=0)
    assert list(overlap_add([], starts=(), num_samples=3)) == []
    for count, length in ((1, 4), (2, 3)):
        with pytest.raises(ValueError, match=r"windows must have shape \(c=2, s=4\), got"):
            OverlapAdd(2, length=4, num_samples=9).add(torch.ones(count, length), start=0)
