"""Choice of the clips that figures show."""

from collections import Counter
from collections.abc import Sequence

from avblocks.data.datasets import Item
from avblocks.data.scenes import has_silent


def different_clips(items: Sequence[Item], *, count: int) -> list[int]:
    """Return the indices of clips of different files and, as far as possible, classes.

    If a file has several clips, the one in the middle is taken. If some scenes have silent objects,
    the first half of the clips are such scenes.
    """
    files: dict[str, list[int]] = {}
    for index, item in enumerate(items):
        files.setdefault(item.path, []).append(index)
    left = _spread([indices[len(indices) // 2] for indices in files.values()])
    silent = {index for index in left if has_silent(items[index])}
    uses: Counter[int] = Counter()
    chosen: list[int] = []
    while left and len(chosen) < count:
        fitting = [index for index in left if index in silent] if 2 * len(chosen) < count else []
        pick = min(fitting or left, key=lambda index: sum(uses[n] for n in items[index].labels))
        uses.update(items[pick].labels)
        chosen.append(pick)
        left.remove(pick)
    return chosen


def _spread(indices: list[int]) -> list[int]:
    """Reorder indices so that any first ones are spread over all: the middle, quarters, eighths.

    >>> _spread([0, 1, 2, 3, 4, 5])
    [3, 1, 4, 0, 2, 5]
    """
    order: dict[int, None] = {}
    parts, steps = 1, len(indices)
    while len(order) < steps:
        for part in range(parts):
            order[indices[(2 * part + 1) * steps // (2 * parts)]] = None
        parts *= 2
    return list(order)
