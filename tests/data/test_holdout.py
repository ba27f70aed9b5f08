"""Held-out clips: of every class the same share, and the same ones whatever else is on disk."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avblocks.data.datasets import ClipSet, Item, hold_out


def clips(counts: list[int]) -> ClipSet:
    items = tuple(
        Item(id=f"{label}/{number}.mp4", path=f"/d/{label}/{number}.mp4", labels=(label,))
        for label, count in enumerate(counts)
        for number in range(count)
    )
    return ClipSet(name="demo", items=items, classes=tuple(f"c{n}" for n in range(len(counts))))


@given(st.lists(st.integers(2, 30), min_size=1, max_size=4), st.floats(0.01, 0.99))
def test_every_clip_is_on_one_side_and_every_class_on_both(counts: list[int], share: float) -> None:
    whole = clips(counts)
    train, test = hold_out(whole, share=share)
    assert sorted((*train.items, *test.items), key=str) == sorted(whole.items, key=str)
    for label, count in enumerate(counts):
        held = sum(item.labels == (label,) for item in test.items)
        assert held == min(max(round(share * count), 1), count - 1)


def test_another_class_moves_no_clip() -> None:
    _, alone = hold_out(clips([20]))
    _, among = hold_out(clips([20, 7]))
    assert alone.items == among.items[: len(alone)]


@pytest.mark.parametrize(
    ("counts", "share", "message"), [([5, 1], 0.2, "'c1' has 1 clips"), ([5], 1.0, "share")]
)
def test_impossible_splits_are_refused(counts: list[int], share: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        hold_out(clips(counts), share=share)


def test_a_clip_of_two_classes_is_refused() -> None:
    both = ClipSet(
        name="demo", items=(Item(id="a", path="a.mp4", labels=(0, 1)),), classes=("x", "y")
    )
    with pytest.raises(ValueError, match=r"a\.mp4: has 2 classes"):
        hold_out(both)
