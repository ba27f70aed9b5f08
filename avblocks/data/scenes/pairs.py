"""Scenes that can be told apart when mixed, and the fixed list of pairs to test separation on.

The picture of a scene names the timbre that sounds in it by its looks: just one of them may sound
with that timbre, and a silent one never may. In a mixture the other scene's timbre sounds too. If
just one look of the picture may sound with that as well, nobody can say which of the two belongs
to the picture; if none may, a look of the table is enough; if two or more may, one must know that
then all of them are silent.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from avblocks.data.datasets.clipset import ClipSet, Item
from avblocks.data.datasets.pairs import Pair, PairSet
from avblocks.data.scenes.classes import CLASSES, LOOKS, PARTS, TIMBRES_OF_LOOK
from avblocks.data.scenes.files import read_notes


@dataclass(frozen=True)
class SceneCasts:
    """Who sounds and who is seen in each scene of a set; called, it says whether two may be mixed.

    Attributes:
        heard: Timbres that sound.
        seen: For each timbre, how many looks in the picture may sound with it.
    """

    heard: tuple[frozenset[int], ...]
    seen: tuple[Counter[int], ...]

    def __call__(self, first: int, second: int) -> bool:
        """Whether each of two scenes' pictures tells its own timbre from the other's."""
        return 1 not in self.matches(first, second)

    def matches(self, first: int, second: int) -> set[int]:
        """How many looks of either picture may sound with a timbre of the other scene."""
        ways = ((first, second), (second, first))
        return {self.seen[one][timbre] for one, other in ways for timbre in self.heard[other]}


def scene_casts(root: str | Path, clips: ClipSet) -> SceneCasts:
    """Read who sounds and who is seen in the scenes of a folder, listed by ``scenes``.

    `RandomGroups` takes the result as ``fits``.

    Raises:
        ValueError: If an annotation is missing.
    """
    root = Path(root)
    looks = [_looks(root, item) for item in clips.items]
    heard = tuple(frozenset(PARTS[label][0] for label in item.labels) for item in clips.items)
    seen = tuple(Counter(t for look in some for t in TIMBRES_OF_LOOK[look]) for some in looks)
    return SceneCasts(heard, seen)


def _looks(root: Path, item: Item) -> list[int]:
    """Numbers of all looks in a scene's picture."""
    notes = read_notes(root / "annotations" / f"{item.id[:11]}.json")
    mute = [LOOKS.index(name) for name in notes["silent"]]
    return [PARTS[label][1] for label in item.labels] + mute


def scene_pairs(root: str | Path, clips: ClipSet) -> PairSet:
    """Pair test scenes, listed by ``scenes``, with distinguishable ones, the same every time.

    A pair is easy if no look of either image may sound with the other's timbre, and hard if two
    or more may; easy partners are preferred. Scenes that fit no other are counted as missing.

    Raises:
        ValueError: If an annotation is missing.
    """
    casts, count = scene_casts(root, clips), len(clips)
    found, missing = [], []
    for first in range(count):
        # Where the search begins moves on, so that partners differ.
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
    """Tell whether the audio of one scene cannot come from a source in the image of another.

    Returns:
        A function of the indices of an image's clip and an audio's clip, in any layout of scenes
        that names their classes; `mismatched_pairs` takes it as ``unlike``.
    """
    names = [name.replace("-", " ") for name in clips.classes]
    parts = [
        [PARTS[CLASSES.index(names[label])] for label in item.labels if names[label] in CLASSES]
        for item in clips.items
    ]
    heard = [{timbre for timbre, _ in some} for some in parts]
    may = [{timbre for _, look in some for timbre in TIMBRES_OF_LOOK[look]} for some in parts]
    return lambda first, second: not may[first] & heard[second]
