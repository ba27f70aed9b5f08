"""Data loaders of clips, or groups of clips, for training and tests."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from avblocks.data import (
    AVBatch,
    AVClip,
    ClipDataset,
    ClipError,
    FixedGroups,
    Groups,
    KeyedBatches,
    MixtureDataset,
    collate,
    mismatched_pairs,
    read_clip,
)
from avblocks.data.datasets import ClipSet, Item
from avblocks.data.image_sources import absent_sources, second_sources
from avblocks.data.own_read import ReadClip
from avblocks.data.scenes import (
    composed_mismatched,
    scene_mismatched,
    scene_off_screen,
    scene_second_sources,
)
from avblocks.distributed import rank_and_world
from recipes.common.data import Data, open_shards
from recipes.common.examples import different_clips


def train_loader(
    clips: ClipSet,
    data: Data,
    *,
    batch: int,
    seed: int,
    groups: Groups | None = None,
    whole: bool = False,
) -> Callable[[int, int], DataLoader[AVBatch]]:
    """Return a function that makes the training loader of a process from rank and world size.

    With `groups`, `batch` is the number of groups, and the clips of a group are consecutive.
    `whole` images are shown without augmentation only.
    """
    samples = _grouped(dataset(clips, data, train=True, seed=seed, whole=whole), groups)
    return partial(keyed_loader, samples, data, batch, seed)


def keyed_loader(
    samples: Any, data: Data, batch: int, seed: int, rank: int, world_size: int
) -> DataLoader[AVBatch]:
    """Make a loader of samples in an order given by the seed, for one process."""
    place = {"rank": rank, "world_size": world_size}
    batches = KeyedBatches(len(samples), batch_size=batch, seed=seed, **place)
    return _loader(samples, batches, data, persistent=data.num_workers > 0)


def test_loader(
    clips: ClipSet,
    data: Data,
    *,
    batch: int,
    windows: int = 1,
    whole: bool = False,
    groups: Groups | None = None,
) -> DataLoader[AVBatch]:
    """Make a loader of each window of each clip, distributed over the processes.

    With `groups`, it loads each group once, and `batch` is the number of groups.
    """
    clipwise = dataset(clips, data, train=False, seed=0, windows=windows, whole=whole)
    return sharing_loader(_grouped(clipwise, groups), data, batch=batch)


def sharing_loader(samples: Any, data: Data, *, batch: int) -> DataLoader[AVBatch]:
    """Make a loader of each sample in order, distributed over the processes."""
    rank, world = rank_and_world()
    keys = [(0, index) for index in range(rank, len(samples), world)]
    return _loader(samples, [keys[i : i + batch] for i in range(0, len(keys), batch)], data)


def mismatched(clips: ClipSet, data: Data) -> FixedGroups:
    """Pair each clip with a mismatched one whose sources are not visible, as far as is known."""
    unlike = scene_mismatched(clips) if data.name.startswith("scene") else None
    if data.name.startswith("composed") and data.root is not None:
        unlike = composed_mismatched(data.root, clips)
    if data.name in ("is3", "vpo_ss", "vpo_ms"):
        unlike = absent_sources(clips)
    return mismatched_pairs(clips, unlike)


def example_loader(
    clips: ClipSet,
    data: Data,
    *,
    count: int,
    whole: bool = False,
    groups: Groups | None = None,
) -> DataLoader[AVBatch]:
    """Make a loader of one batch of clips, or groups of them, for figures.

    They are of different files, and of different classes as far as possible; some have silent
    objects, if that is known.
    """
    samples = dataset(clips, data, train=False, seed=0, whole=whole)
    firsts = range(len(clips)) if groups is None else [groups(0, n)[0] for n in range(len(groups))]
    chosen = different_clips([clips.items[n] for n in firsts], count=count)
    return _loader(_grouped(samples, groups), [[(0, index) for index in chosen]], data)


def off_screen_loader(clips: ClipSet, data: Data, *, batch: int) -> DataLoader[AVBatch] | None:
    """Make a loader of pairs of a scene and audio that has no source in it, for `scene_boxes`."""
    if data.name != "scene_boxes" or data.shards is not None:
        return None
    return test_loader(clips, data, batch=batch, whole=True, groups=scene_off_screen(clips))


def two_source_loader(clips: ClipSet, data: Data, *, batch: int) -> DataLoader[AVBatch] | None:
    """Make a loader of images with two sources, for scenes and IS3, see `TwoSourceScorer`."""
    if data.name == "is3":
        both, groups = clips, second_sources(clips)
    elif data.name == "scene_boxes" and data.shards is None:
        both, groups = scene_second_sources(clips)
    else:
        return None
    if groups is None:
        print("note: no image with both of its pairs on disk: two_sources is left out", flush=True)
        return None
    return test_loader(both, data, batch=batch, whole=True, groups=groups)


def dataset(
    clips: ClipSet, data: Data, *, train: bool, seed: int, windows: int = 1, whole: bool = False
) -> ClipDataset:
    """Make the data set of clips, random for training and centered for evaluation.

    `SkippedFiles` limits the number of skipped files, since it counts those of all workers.
    """
    return ClipDataset(
        clips,
        data.format,
        train=train,
        seed=seed,
        on_error=data.on_error,
        max_skipped=1.0,
        read=_reader(data),
        windows=windows,
        whole=whole,
        augment=data.augment,
        min_crop=data.min_crop,
    )


def _reader(data: Data) -> ReadClip:
    read = read_clip if data.shards is None else open_shards(data.shards).read
    return partial(_read_or_tell, read) if data.on_error == "raise" else read


def _read_or_tell(read: ReadClip, item: Item, /, **window: Any) -> AVClip:
    try:
        return read(item, **window)
    except ClipError as error:
        remedy = "--data.on-error skip leaves out such files"
        raise ClipError(error.path, f"{error.reason}; {remedy}") from error


def _grouped(clips: ClipDataset, groups: Groups | None) -> ClipDataset | MixtureDataset:
    return clips if groups is None else MixtureDataset(clips, groups)


def _loader(
    samples: Dataset[AVBatch], batches: Iterable[Any], data: Data, *, persistent: bool = False
) -> DataLoader[AVBatch]:
    return DataLoader(
        samples,
        batch_sampler=batches,
        collate_fn=collate,
        num_workers=data.num_workers,
        timeout=data.timeout if data.num_workers else 0,
        persistent_workers=persistent,
        pin_memory=torch.cuda.is_available(),
    )
