"""Pictures with the sound of another clip, or with none, to test whether a model listens."""

from dataclasses import replace

import torch

from avblocks.data import AVBatch, FixedGroups, strangers
from avblocks.data.datasets import ClipSet
from avblocks.data.scenes import scene_strangers

SOUNDS = ("own", "swapped", "silenced")
"""What is heard with a picture: its own sound, that of a stranger, nothing."""


def with_strangers(clips: ClipSet, *, scenes: bool) -> FixedGroups:
    """Pair each clip with one of another file whose sound does not belong to its picture.

    Args:
        clips: The data set; without classes, all clips of other files are strangers.
        scenes: Whether it is of scenes, where the same timbre may sound from several classes.
    """
    items, unlike = clips.items, scene_strangers(clips) if scenes else None

    def fits(first: int, second: int) -> bool:
        one, other = items[first], items[second]
        if one.path == other.path or set(one.labels) & set(other.labels):
            return False
        return unlike is None or unlike(first, second)

    return strangers(clips, fits)


def heard(batch: AVBatch, sound: str) -> AVBatch:
    """Take the first clip of each pair, with its own sound, that of the second, or none."""
    first = batch.map(lambda rows: rows[0::2])
    audio = {
        "own": first.audio,
        "swapped": batch.audio[1::2],
        "silenced": torch.zeros_like(first.audio),
    }[sound]
    return replace(
        first,
        audio=audio,
        seeds=batch.seeds[0::2],
        paths=batch.paths[0::2],
        boxes=batch.boxes[0::2],
    )
