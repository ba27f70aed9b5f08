"""Loaders of groups of clips: to mix their sounds, or to swap them."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch.utils.data import DataLoader

from avblocks.data import (
    AVBatch,
    FixedGroups,
    Groups,
    KeyedBatches,
    MixtureDataset,
    collate,
    strangers,
)
from avblocks.data.datasets import ClipSet, scene_strangers
from recipes._data import Data, dataset
from recipes._distributed import rank_and_world

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


def group_train_loader(
    clips: ClipSet, groups: Groups, data: Data, *, batch: int, seed: int
) -> Callable[[int, int], DataLoader[AVBatch]]:
    """Make the training loader of a process from its rank and the world size.

    `batch` counts groups; the clips of one stand in a row.
    """

    def loader(rank: int, world_size: int) -> DataLoader[AVBatch]:
        return DataLoader(
            MixtureDataset(dataset(clips, data, train=True, seed=seed), groups),
            batch_sampler=KeyedBatches(
                len(groups), batch_size=batch, seed=seed, rank=rank, world_size=world_size
            ),
            collate_fn=collate,
            num_workers=data.workers,
            persistent_workers=data.workers > 0,
            pin_memory=torch.cuda.is_available(),
            timeout=data.timeout if data.workers else 0,
        )

    return loader


def group_test_loader(
    clips: ClipSet, groups: Groups, data: Data, *, batch: int, whole: bool = False
) -> DataLoader[AVBatch]:
    """Make the loader of every group once, in order, shared out among the processes."""
    rank, world = rank_and_world()
    keys = [(0, index) for index in range(rank, len(groups), world)]
    return DataLoader(
        MixtureDataset(dataset(clips, data, train=False, seed=0, whole=whole), groups),
        batch_sampler=[keys[i : i + batch] for i in range(0, len(keys), batch)],
        collate_fn=collate,
        num_workers=data.workers,
        pin_memory=torch.cuda.is_available(),
        timeout=data.timeout if data.workers else 0,
    )
