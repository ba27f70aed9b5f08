import random
from collections import Counter
from itertools import combinations
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from avblocks.data import FixedGroups, Groups, RandomGroups, paired
from avblocks.data.datasets import ClipSet, Item, Pair, PairSet, pairs, vggsound
from avblocks.data.groups import seeded_groups
from avblocks.data.scenes import scenes_as_pairs
from avblocks.seed import sample_generator

CLIPS = ClipSet(name="x", items=tuple(Item(id=name, path=name) for name in "abcd"))


class Apart:
    """Only clips whose places are of different parity."""

    def __call__(self, first: int, second: int) -> bool:
        return (first - second) % 2 == 1


@given(st.integers(2, 12), st.integers(2, 4), st.integers(0, 3), st.integers(0, 3))
def test_a_clip_and_different_others(length: int, size: int, seed: int, epoch: int) -> None:
    size = min(size, length)
    groups = RandomGroups(length, size=size, seed=seed)
    assert isinstance(groups, Groups) and len(groups) == length
    for index in range(length):
        group = groups(epoch, index)
        assert group[0] == index and len(set(group)) == len(group) == size
        assert all(0 <= place < length for place in group)
        assert group == RandomGroups(length, size=size, seed=seed)(epoch, index)


def test_every_other_clip_comes_up_about_as_often() -> None:
    groups = RandomGroups(5, size=2, seed=3)
    partners = Counter(groups(epoch, 2)[1] for epoch in range(400))
    assert set(partners) == {0, 1, 3, 4} and min(partners.values()) > 70


@pytest.mark.parametrize("changes", [{"seed": 1}, {"epoch": 1}, {"index": 1}])
def test_seed_epoch_and_index_all_matter(changes: dict[str, int]) -> None:
    def drawn(seed: int = 0, epoch: int = 0, index: int = 0) -> tuple[int, ...]:
        return RandomGroups(1000, size=4, seed=seed)(epoch, index)[1:]

    assert drawn() != drawn(**changes)


def test_partners_are_independent_of_the_clips_own_draws() -> None:
    def first_other(generator: torch.Generator, index: int) -> int:
        order = torch.randperm(50, generator=generator).tolist()
        return next(place for place in order if place != index)

    groups, same = RandomGroups(50), {"clip": 0, "epoch": 0}
    for index in range(50):
        partner = groups(0, index)[1]
        same["clip"] += partner == first_other(sample_generator(0, 0, index), index)
        same["epoch"] += partner == first_other(sample_generator(0, 0, -1), index)
    assert max(same.values()) < 6


def test_only_what_fits_is_mixed() -> None:
    groups = RandomGroups(9, size=2, fits=Apart())
    assert all((a - b) % 2 for a, b in (groups(e, i) for e in range(9) for i in range(9)))
    with pytest.raises(ValueError, match="no 3 of 9 clips may be mixed"):
        RandomGroups(9, size=3, fits=Apart())(0, 0)


def test_for_a_clip_that_nothing_fits_the_next_stands_in() -> None:
    groups = RandomGroups(5, fits=lambda one, other: 2 not in (one, other))
    for epoch in range(20):
        group = groups(epoch, 2)
        assert group[0] == 3 and group[1] in (0, 1, 4)


def test_fixed_groups_are_the_same_in_every_epoch() -> None:
    groups = FixedGroups(((0, 1), (3, 2)))
    assert isinstance(groups, Groups) and len(groups) == 2
    assert [groups(epoch, 1) for epoch in (0, 7)] == [(3, 2), (3, 2)]


def test_published_pairs_become_places() -> None:
    a, b, c, d = CLIPS.items
    found = PairSet(name="p", pairs=(Pair(c, a, "Easy"), Pair(b, d, "Hard")))
    assert paired(CLIPS, found).places == ((2, 0), (1, 3))
    lost = PairSet(name="p", pairs=(Pair(a, Item(id="e", path="e"), "Easy"),))
    with pytest.raises(ValueError, match=r"pairs must be of clips of x, got \['e'\]"):
        paired(CLIPS, lost)


def test_pairs_of_a_list_on_disk(scene_root: Path) -> None:
    clips = vggsound(scene_root, split="test")
    listed = pairs(clips, scenes_as_pairs(scene_root) / "vggmusic_eval_ss.csv")
    for pair, (first, second) in zip(listed.pairs, paired(clips, listed).places, strict=True):
        assert (clips.items[first], clips.items[second]) == (pair.first, pair.second)


@pytest.mark.parametrize(("length", "size"), [(3, 4), (3, 1), (0, 2), (1, 2)])
def test_impossible_sizes(length: int, size: int) -> None:
    with pytest.raises(ValueError, match="must be"):
        RandomGroups(length, size=size)


@pytest.mark.parametrize("places", [(), ((0,),), ((0, 1), (0, 1, 2))])
def test_impossible_lists(places: tuple[tuple[int, ...], ...]) -> None:
    with pytest.raises(ValueError, match="places must be groups of one size above 1"):
        FixedGroups(places)


def test_groups_of_three_fit_each_other() -> None:
    groups = RandomGroups(30, size=3, fits=lambda one, other: one % 5 != other % 5)
    for index in range(30):
        assert all(a % 5 != b % 5 for a, b in combinations(groups(0, index), 2))


@pytest.mark.parametrize("size", [2, 3])
def test_seeded_groups_are_those_of_the_published_loader(size: int) -> None:
    """Draws from Python's global generator after `random.seed(index)`, as in the loader."""
    groups, state = seeded_groups(50, size=size), random.getstate()
    for index in range(50):
        random.seed(index)
        others = tuple(random.randint(0, 49) for _ in range(size - 1))
        assert groups(0, index) == groups(3, index) == (index, *others)
    random.setstate(state)
    with pytest.raises(ValueError, match="size must be 2 or more, got 1"):
        seeded_groups(5, size=1)
