"""Classes of scenes, and the choice of their sounding and silent objects.

A class is a pair of a timbre and a look (color and shape). Four timbres form six pairs, one for
each of six looks, and a look occurs with the two timbres of its pair. So each timbre occurs with
three looks, and each look with two timbres: audio alone leaves three possible classes, the image
alone two or more, and both together one.
"""

from itertools import combinations
from typing import Literal

import numpy as np

Split = Literal["train", "test"]
TIMBRES = ("bell", "pluck", "reed", "shaker")
LOOKS = ("blue triangle", "cyan cross", "green square", "red circle", "violet ring", "yellow star")
TIMBRES_OF_LOOK = tuple(combinations(range(len(TIMBRES)), 2))
PARTS = tuple(
    (timbre, look)
    for timbre in range(len(TIMBRES))
    for look, allowed in enumerate(TIMBRES_OF_LOOK)
    if timbre in allowed
)
"""The (timbre, look) of each class, in the alphabetical order of the class names."""
CLASSES = tuple(f"{TIMBRES[timbre]} {LOOKS[look]}" for timbre, look in PARTS)


def _unambiguous(first: int, second: int) -> bool:
    """Return whether neither look of two classes occurs with the timbre of the other."""
    (timbre, look), (other_timbre, other_look) = PARTS[first], PARTS[second]
    crossed = timbre in TIMBRES_OF_LOOK[other_look] or other_timbre in TIMBRES_OF_LOOK[look]
    return timbre != other_timbre and not crossed


def _shares_timbre(duet: tuple[int, int]) -> bool:
    """Return whether the looks of a duet share an allowed timbre, which neither plays."""
    first, second = (set(TIMBRES_OF_LOOK[PARTS[label][1]]) for label in duet)
    return bool(first & second)


# Each half of the sorted list contains every class twice: any multiple of 12 duets is balanced.
DUETS = tuple(
    sorted(
        (d for d in combinations(range(len(CLASSES)), 2) if _unambiguous(*d)), key=_shares_timbre
    )
)


def sounding(index: int, *, split: Split) -> tuple[int, ...]:
    """Return the classes of the sounding objects of a scene.

    Every fourth training scene is a duet; test scenes are solos. 48 consecutive training scenes,
    and 12 consecutive test scenes, contain each class equally often.
    """
    if split == "test":
        return (index % len(CLASSES),)
    block, place = divmod(index, 4)
    if place == 3:
        return DUETS[block % len(DUETS)]
    return ((3 * block + place) % len(CLASSES),)


def silent(
    labels: tuple[int, ...], *, count: int, generator: np.random.Generator
) -> tuple[int, ...]:
    """Draw looks of up to ``count`` silent objects that do not occur with any sounding timbre."""
    timbres = {PARTS[label][0] for label in labels}
    looks = [look for look, allowed in enumerate(TIMBRES_OF_LOOK) if not timbres & set(allowed)]
    chosen = generator.choice(looks, min(len(looks), count), replace=False)
    return tuple(int(look) for look in chosen)
