"""Controls of a test: the same test with something missing, to compare with."""

import copy
import random
from collections.abc import Callable
from dataclasses import replace

from avblocks.data.datasets import ClipSet
from recipes.common.probed import untrained
from recipes.common.tested import CLASSIFY, Tested


def random_encoder(tested: Tested) -> Tested:
    """Return the test with an encoder at its initialization."""
    task = copy.deepcopy(tested.task)
    task.encoder = untrained(task.encoder, 0, "random encoder")
    return replace(tested, task=task)


def shuffled_labels(tested: Tested) -> Tested | None:
    """Return the test with the labels or boxes of other clips; `None` of a task without them."""
    if tested.recipe not in (*CLASSIFY, "paper_localize"):
        return None
    return replace(tested, change=_shuffled)


def _shuffled(clips: ClipSet) -> ClipSet:
    others = list(clips.items)
    random.Random(0).shuffle(others)
    pairs = zip(clips.items, others, strict=True)
    items = (replace(item, labels=other.labels, boxes=other.boxes) for item, other in pairs)
    return replace(clips, items=tuple(items))


CONTROLS: dict[str, Callable[[Tested], Tested | None]] = {
    "random_encoder": random_encoder,
    "shuffled_labels": shuffled_labels,
}
"""Control tests, whose scores show what a model gains from its weights and the labels."""
