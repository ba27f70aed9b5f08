"""Pairs of scenes whose mixture can be separated by their images, for training and tests.

In an image, exactly one look occurs with the timbre that is played; silent looks never do. In a
mixture, the timbre of the other scene is played too. If exactly one look of the image occurs with
the other timbre, the image does not determine which of the two timbres is its own: such pairs are
excluded. If no look does, the table of looks and timbres suffices. If two or more do, the model
must also know that these looks are then silent.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from avblocks.data.datasets.clipset import ClipSet, Item
from avblocks.data.datasets.pairs import Pair, PairSet
from avblocks.data.scenes.classes import CLASSES, LOOKS, PARTS, TIMBRES_OF_LOOK
from avblocks.data.scenes.files import notes_file, read_notes


@dataclass(frozen=True)
class SceneCasts:
    """Timbres and looks of the scenes of a set; a call returns whether two scenes may be mixed.

    Attributes:
        heard: Timbres that are played in each scene.
        seen: For each scene and timbre, the number of looks in the image that occur with it.
    """

    heard: tuple[frozenset[int], ...]
    seen: tuple[Counter[int], ...]

    def __call__(self, first: int, second: int) -> bool:
        """Return whether the image of each scene identifies its timbre in the mixture."""
        return 1 not in self.matches(first, second)

    def matches(self, first: int, second: int) -> set[int]:
        """Return the numbers of looks in each image that occur with timbres of the other scene."""
        ways = ((first, second), (second, first))
        return {self.seen[one][timbre] for one, other in ways for timbre in self.heard[other]}


def scene_casts(root: str | Path, clips: ClipSet) -> SceneCasts:
    """Read the timbres and looks of scenes listed by ``scenes``.

    The result can be passed to `RandomGroups` as ``fits``.

    Raises:
        ValueError: If an annotation is missing.
    """
    root = Path(root)
    looks = [_looks(root, item) for item in clips.items]
    heard = tuple(frozenset(PARTS[label][0] for label in item.labels) for item in clips.items)
    seen = tuple(Counter(t for look in some for t in TIMBRES_OF_LOOK[look]) for some in looks)
    return SceneCasts(heard, seen)


def _looks(root: Path, item: Item) -> list[int]:
    """Return the numbers of all looks in the image of a scene."""
    notes = read_notes(notes_file(root, item))
    mute = [LOOKS.index(name) for name in notes["silent"]]
    return [PARTS[label][1] for label in item.labels] + mute


def scene_pairs(root: str | Path, clips: ClipSet) -> PairSet:
    """Pair test scenes listed by ``scenes`` with scenes that can be separated; deterministic.

    A pair is easy if no look of either image occurs with the other timbre, and hard if two or more
    do; easy partners are preferred. Scenes without a partner are counted as missing.

    Raises:
        ValueError: If an annotation is missing.
    """
    casts, count = scene_casts(root, clips), len(clips)
    found, missing = [], []
    for first in range(count):
        # The start of the search varies, so that partners differ.
        others = ((first + step + first // 2) % count for step in range(count))
        fitting = [n for n in others if n != first and casts(first, n)]
        easy = [n for n in fitting if casts.matches(first, n) == {0}]
        if fitting:
            both = clips.items[first], clips.items[(easy or fitting)[0]]
            found.append(Pair(*both, "Easy" if easy else "Hard"))
        else:
            missing.append(clips.items[first].id)
    return PairSet(f"{clips.name}, pairs", tuple(found), clips.classes, tuple(missing))


def scene_mismatched(clips: ClipSet) -> Callable[[int, int], bool]:
    """Return a condition for mismatched audio: no look in the image occurs with its timbre.

    Returns:
        A function of the index of the clip of the image and that of the audio, for scenes in any
        layout with class names; `mismatched_pairs` takes it as ``unlike``.
    """
    parts = sounding_parts(clips)
    heard = [{timbre for timbre, _ in some} for some in parts]
    may = [{timbre for _, look in some for timbre in TIMBRES_OF_LOOK[look]} for some in parts]
    return lambda first, second: not may[first] & heard[second]


def sounding_parts(clips: ClipSet) -> list[list[tuple[int, int]]]:
    """Return (timbre, look) of the sounding objects of scenes in any layout with class names."""
    names = [name.replace("-", " ") for name in clips.classes]
    return [
        [PARTS[CLASSES.index(names[label])] for label in item.labels if names[label] in CLASSES]
        for item in clips.items
    ]
