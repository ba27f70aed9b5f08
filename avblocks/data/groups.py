"""Groups of clips that are mixed: random in each epoch for training, fixed for tests."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Protocol, runtime_checkable

import torch

from avblocks.data.datasets.clipset import ClipSet
from avblocks.data.datasets.pairs import PairSet
from avblocks.seed import sample_generator
from avblocks.shapes import require, require_positive


@runtime_checkable
class Groups(Protocol):
    """The clips of each mixture, by epoch and index of the mixture."""

    def __len__(self) -> int: ...

    def __call__(self, epoch: int, index: int) -> tuple[int, ...]:
        """Return the data set indices of the clips of a mixture."""
        ...


@dataclass(frozen=True)
class RandomGroups:
    """Groups of each clip with random others, new in every epoch, for training.

    A group depends on (seed, epoch, index) only, as in ``keyed``. A clip that fits no other is
    replaced by the next one of the data set.

    Attributes:
        length: Clips in the data set, each the first clip of one mixture.
        size: Clips in a mixture.
        seed: Seed of the run.
        fits: Whether the clips of two indices may be mixed; any two if not given.

    >>> groups = RandomGroups(10, size=3)
    >>> group = groups(0, 4)
    >>> group[0], len(set(group)), group == groups(0, 4)
    (4, 3, True)
    """

    length: int
    size: int = 2
    seed: int = 0
    fits: Callable[[int, int], bool] | None = None

    def __post_init__(self) -> None:
        require_positive(length=self.length, size=self.size)
        require(1 < self.size <= self.length, "size", self.size, f"in [2, {self.length}]")

    def __len__(self) -> int:
        return self.length

    def __call__(self, epoch: int, index: int) -> tuple[int, ...]:
        """Return the index of a clip and of the clips that it is mixed with.

        Raises:
            ValueError: If no clips may be mixed.
        """
        # Below -1, to be independent of the order of an epoch and of the crop of a clip.
        generator = sample_generator(self.seed, epoch, -2 - index)
        order = torch.randperm(self.length, generator=generator).tolist()
        for step in range(self.length):
            group = self._group((index + step) % self.length, order)
            if len(group) == self.size:
                return group
        raise ValueError(f"no {self.size} of {self.length} clips may be mixed: see what fits")

    def _group(self, first: int, order: list[int]) -> tuple[int, ...]:
        """Select the first clips of ``order`` that fit clip ``first`` and each other."""
        group = (first,)
        for index in order:
            fits = self.fits is None or all(self.fits(one, index) for one in group)
            if index != first and fits:
                group = (*group, index)
            if len(group) == self.size:
                break
        return group


@dataclass(frozen=True)
class FixedGroups:
    """A fixed list of groups, for tests: ``places`` are the indices of their clips."""

    places: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        sizes = {len(group) for group in self.places}
        require(len(sizes) == 1 and min(sizes) > 1, "places", sizes, "groups of one size above 1")

    def __len__(self) -> int:
        return len(self.places)

    def __call__(self, epoch: int, index: int) -> tuple[int, ...]:
        """Return the indices of the clips of a mixture, equal in every epoch."""
        return self.places[index]


def seeded_groups(length: int, *, size: int = 2) -> FixedGroups:
    """Group each clip with others that depend on its index alone, as in the Sound of Pixels.

    The others are ``random.randint`` of Python after ``random.seed(index)``, of all clips: they may
    be of the same class, and even the same clip.

    Args:
        length: Clips in the data set.
        size: Clips in a mixture.

    Raises:
        ValueError: If a number is out of range.

    Source: ``dataset/music.py`` of github.com/hangzhaomit/Sound-of-Pixels.

    >>> seeded_groups(100).places[:3]
    ((0, 49), (1, 17), (2, 7))
    """
    require_positive(length=length)
    require(size > 1, "size", size, "2 or more")
    groups = []
    for index in range(length):
        drawn = Random(index)
        groups.append((index, *(drawn.randint(0, length - 1) for _ in range(size - 1))))
    return FixedGroups(tuple(groups))


def paired(clips: ClipSet, pairs: PairSet) -> FixedGroups:
    """Return the groups of published pairs in their data set.

    Raises:
        ValueError: If there are no pairs, or the data set lacks a clip of a pair.
    """
    index = {item.id: number for number, item in enumerate(clips.items)}
    ids = [(pair.first.id, pair.second.id) for pair in pairs.pairs]
    missing = [name for pair in ids for name in pair if name not in index]
    require(not missing, "pairs", missing[:4], f"of clips of {clips.name}")
    return FixedGroups(tuple((index[first], index[second]) for first, second in ids))


def unlike_classes(clips: ClipSet) -> Callable[[int, int], bool]:
    """Return a function of two indices: whether the two clips have no class in common."""
    labels = [set(item.labels) for item in clips.items]
    return lambda first, second: not labels[first] & labels[second]


def mismatched_pairs(
    clips: ClipSet, unlike: Callable[[int, int], bool] | None = None
) -> FixedGroups:
    """Pair each clip with the next clip of another file and other classes, as mismatched audio.

    `with_audio` combines the image of the first clip of a pair with the audio of the second.

    Args:
        clips: The data set; without classes, all clips of other files are mismatched.
        unlike: A further condition on the indices of two clips; `scene_mismatched` gives one for
            scenes, where several classes share a timbre.

    Raises:
        ValueError: If a clip has no partner.

    >>> from avblocks.data.datasets.clipset import Item
    >>> items = tuple(Item(id=str(n), path=f"{n}.mp4", labels=(n // 2,)) for n in range(4))
    >>> mismatched_pairs(ClipSet(name="demo", items=items)).places
    ((0, 2), (1, 2), (2, 0), (3, 0))
    """
    items, differ = clips.items, unlike_classes(clips)

    def fits(one: int, other: int) -> bool:
        apart = items[one].path != items[other].path and differ(one, other)
        return apart and (unlike is None or unlike(one, other))

    pairs = []
    for first in range(len(clips)):
        others = (index % len(clips) for index in range(first + 1, first + len(clips)))
        second = next((index for index in others if fits(first, index)), None)
        if second is None:
            path = items[first].path
            raise ValueError(
                f"{path}: no clip of another file and of other classes fits it, as mismatched "
                f"audio: add one to {clips.name}, or list its clips without classes"
            )
        pairs.append((first, second))
    return FixedGroups(tuple(pairs))
