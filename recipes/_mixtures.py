"""Loaders of groups of clips: to mix their sounds, or to swap them."""

from collections.abc import Callable

import torch
from torch.utils.data import DataLoader

from avblocks.data import AVBatch, Groups, KeyedBatches, MixtureDataset, collate
from avblocks.data.datasets import ClipSet
from recipes._data import Data, dataset
from recipes._distributed import rank_and_world


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
