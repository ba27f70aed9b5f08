"""Groups of clips that are mixed, for training and tests."""

from collections.abc import Callable
from dataclasses import replace
from itertools import chain

from avblocks.data import FixedGroups, RandomGroups, paired
from avblocks.data.datasets import ClipSet, Item, pairs
from avblocks.data.datasets.vggsound_music import PAIRS
from avblocks.data.groups import seeded_groups, unlike_classes
from avblocks.data.scenes import composed_mismatched, scene_casts, scene_pairs
from recipes.common.data_settings import Data
from recipes.common.scene_sets import scenes_root


def mixtures(
    data: Data, train: ClipSet, test: ClipSet, *, sources: int, seed: int, seeded: bool = False
) -> tuple[RandomGroups, FixedGroups]:
    """Choose the clips to mix: random ones for training, published pairs for tests if available.

    Args:
        data: The data set.
        train: The training clips.
        test: The test clips.
        sources: Number of clips in a mixture.
        seed: Seed of the run.
        seeded: Whether to mix any clips, those of a test by their index, see `seeded_groups`.

    Raises:
        ValueError: If there are too few clips, or none of the pairs is on disk.
    """
    if seeded:
        if len(train) < sources:
            raise ValueError(f"{train.name} has {len(train)} clips, too few to mix {sources}")
        groups = RandomGroups(len(train), size=sources, seed=seed)
        return groups, seeded_groups(len(test), size=sources)
    for clips in (train, test):
        check_mixable(clips, sources)
    root, scenes = data.root or scenes_root(data.name), data.name == "scenes"

    def random(clips: ClipSet) -> RandomGroups:
        fits = scene_casts(root, clips) if scenes else unlike_classes(clips)
        if data.name == "composed":
            fits = _apart(composed_mismatched(root, clips))
        return RandomGroups(len(clips), size=sources, seed=seed, fits=fits)

    if sources == 2 and data.name in ("scenes", "vggsound_music"):
        listed = scene_pairs(root, test) if scenes else pairs(test, root / PAIRS)
        print(listed.report(), flush=True)
        if not len(listed):
            raise ValueError(f"{test.name}: of none of the pairs to test on both clips are on disk")
        return random(train), paired(test, listed)
    groups = (replace(random(test), seed=0)(0, index) for index in range(len(test)))
    # A clip without a partner is replaced by the next one, which has a mixture of its own.
    fixed = tuple(group for index, group in enumerate(groups) if group[0] == index)
    return random(train), FixedGroups(fixed)


def _apart(unlike: Callable[[int, int], bool]) -> Callable[[int, int], bool]:
    """Return whether the image of neither clip shows a source of the audio of the other."""
    return lambda first, second: unlike(first, second) and unlike(second, first)


def check_mixable(clips: ClipSet, sources: int) -> None:
    """Raise a ValueError unless there are ``sources`` clips without a class in common."""
    if len(clips) < sources:
        few = f"{len(clips)} clips, too few to mix {sources} of them"
        raise ValueError(f"{clips.name} has {few}: add clips")
    alike: dict[tuple[int, ...], list[Item]] = {}
    for item in clips.items:
        same = alike.setdefault(item.labels, [])
        if len(same) < sources:  # as many of a kind as can matter
            same.append(item)
    some = replace(clips, items=tuple(chain.from_iterable(alike.values())))
    try:
        RandomGroups(len(some), size=sources, fits=unlike_classes(some))(0, 0)
    except ValueError as error:
        raise ValueError(
            f"{clips.name} has no {sources} clips without a class in common, to mix and to "
            "separate: add clips of other classes"
        ) from error
