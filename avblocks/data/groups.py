"""Which clips are mixed with each other: drawn anew in each epoch to train, fixed to test."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch

from avblocks.data.datasets.clipset import ClipSet
from avblocks.data.datasets.pairs import PairSet
from avblocks.seed import sample_generator
from avblocks.shapes import require, require_positive


@runtime_checkable
class Groups(Protocol):
    """Which clips are mixed with each other, by epoch and number of the mixture."""

    def __len__(self) -> int: ...

    def __call__(self, epoch: int, index: int) -> tuple[int, ...]:
        """Give the places of the clips of one mixture in their data set."""
        ...


@dataclass(frozen=True)
class RandomGroups:
    """Each clip with others drawn anew in every epoch: to train.

    What is drawn depends on (seed, epoch, index) alone, as in ``keyed``. For a clip that no other
    fits the next one of the set stands in.

    Attributes:
        length: Clips in the data set, each of which opens one mixture.
        size: Clips in a mixture.
        seed: Of the run.
        fits: Whether the clips of two places may be mixed; any two if not given.

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
        """Give a clip's place and those of the clips that it is mixed with.

        Raises:
            ValueError: If no clips fit.
        """
        # Below -1, so that neither the order of an epoch nor a clip's crop hangs together with it.
        generator = sample_generator(self.seed, epoch, -2 - index)
        order = torch.randperm(self.length, generator=generator).tolist()
        for step in range(self.length):
            group = self._group((index + step) % self.length, order)
            if len(group) == self.size:
                return group
        raise ValueError(f"no {self.size} of {self.length} clips may be mixed: see what fits")

    def _group(self, first: int, order: list[int]) -> tuple[int, ...]:
        """Take the first clips of an order that fit one and each other."""
        group = (first,)
        for place in order:
            fits = self.fits is None or all(self.fits(one, place) for one in group)
            if place != first and fits:
                group = (*group, place)
            if len(group) == self.size:
                break
        return group


@dataclass(frozen=True)
class FixedGroups:
    """A list of mixtures, ``places`` of their clips in the data set: to test."""

    places: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        sizes = {len(group) for group in self.places}
        require(len(sizes) == 1 and min(sizes) > 1, "places", sizes, "groups of one size above 1")

    def __len__(self) -> int:
        return len(self.places)

    def __call__(self, epoch: int, index: int) -> tuple[int, ...]:
        """Give the places of a mixture's clips, in every epoch the same."""
        return self.places[index]


def paired(clips: ClipSet, pairs: PairSet) -> FixedGroups:
    """Find the clips of published pairs in their data set.

    Raises:
        ValueError: If there is no pair, or one has a clip that the data set has not.
    """
    place = {item.id: number for number, item in enumerate(clips.items)}
    ids = [(pair.first.id, pair.second.id) for pair in pairs.pairs]
    lost = [name for pair in ids for name in pair if name not in place]
    require(not lost, "pairs", lost[:4], f"of clips of {clips.name}")
    return FixedGroups(tuple((place[first], place[second]) for first, second in ids))


def unlike_classes(clips: ClipSet) -> Callable[[int, int], bool]:
    """Return a function of two indices: whether the clips have no class in common."""
    labels = [set(item.labels) for item in clips.items]
    return lambda first, second: not labels[first] & labels[second]


def mismatched_pairs(
    clips: ClipSet, unlike: Callable[[int, int], bool] | None = None
) -> FixedGroups:
    """Pair each clip with the next one of another file and other classes, to lend its audio.

    `with_audio` plays the audio of the second clip of a pair to the image of the first.

    Args:
        clips: The data set; without classes, all clips of other files are mismatched.
        unlike: A further condition on the indices of two clips; `scene_mismatched` gives one for
            scenes, where several classes share a timbre.

    Raises:
        ValueError: If no other clip fits one.

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
            raise ValueError(f"{path}: no clip of another file and of other classes fits it")
        pairs.append((first, second))
    return FixedGroups(tuple(pairs))
