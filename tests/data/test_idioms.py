"""Data sets and batches behave as PyTorch users expect: indices, loaders, splits, slices."""

import copy
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import ConcatDataset, DataLoader, Subset, random_split

from avblocks.data import (
    AVBatch,
    ClipDataset,
    ClipFormat,
    KeyedBatches,
    MixtureDataset,
    RandomGroups,
    collate,
)
from avblocks.data.datasets import vggsound

FORMAT = ClipFormat(seconds=0.25, size=16)
TENSORS = ("image", "audio", "flip", "gain", "target", "crop")


@pytest.fixture
def dataset(scene_root: Path) -> ClipDataset:
    """Eight clips, to train on."""
    return ClipDataset(vggsound(scene_root, split="train"), FORMAT, train=True)


def same(one: AVBatch, other: AVBatch) -> bool:
    """Whether two batches are equal in every part."""
    tensors = all(torch.equal(getattr(one, name), getattr(other, name)) for name in TENSORS)
    return tensors and (one.paths, one.seeds) == (other.paths, other.seeds)


def paths(loader: DataLoader[AVBatch]) -> list[str]:
    return [path for batch in loader for path in batch.paths]


class TestIndices:
    def test_an_index_is_a_sample_of_the_epoch_that_was_set(self, dataset: ClipDataset) -> None:
        assert dataset.epoch == 0 and same(dataset[3], dataset[0, 3])
        dataset.set_epoch(2)
        assert dataset.epoch == 2 and same(dataset[3], dataset[2, 3])
        assert not same(dataset[3], dataset[0, 3])

    @pytest.mark.parametrize("index", [np.int64(3), torch.tensor(3), np.array(3), -5])
    def test_whatever_is_an_integer_is_an_index(self, dataset: ClipDataset, index: Any) -> None:
        assert len(dataset) == 8 and same(dataset[index], dataset[3])

    def test_negative_indices_count_from_the_end(self, dataset: ClipDataset) -> None:
        assert same(dataset[-1], dataset[7]) and same(dataset[1, -8], dataset[1, 0])

    @pytest.mark.parametrize("index", [8, -9, (0, 8), (0, -9), 10**9])
    def test_out_of_range(self, dataset: ClipDataset, index: Any) -> None:
        with pytest.raises(IndexError, match=r"sample -?\d+ of 8"):
            dataset[index]

    @pytest.mark.usefixtures("unchecked")
    def test_what_is_no_integer_is_refused(self, dataset: ClipDataset) -> None:
        for index in (1.0, "3", torch.tensor(1.5)):
            with pytest.raises(TypeError):
                dataset[index]  # type: ignore[index]

    def test_a_data_set_can_be_iterated_over(self, dataset: ClipDataset) -> None:
        found = [path for index in range(len(dataset)) for path in dataset[index].paths]
        assert found == [item.path for item in dataset.clips.items]

    def test_windows_are_samples(self, scene_root: Path) -> None:
        tested = ClipDataset(vggsound(scene_root, split="test"), FORMAT, train=False, windows=3)
        last = len(tested) - 1
        assert last % 3 == 2 and same(tested[-1], tested[last])
        with pytest.raises(IndexError, match="sample"):
            tested[last + 1]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_plain_loader_shuffles_and_joins(dataset: ClipDataset, workers: int) -> None:
    torch.manual_seed(0)
    loader = DataLoader(dataset, batch_size=4, shuffle=True, num_workers=workers)
    batches = list(loader)
    assert [len(batch) for batch in batches] == [4, 4] and isinstance(batches[0], AVBatch)
    assert batches[0].image.shape[0] == 4 and batches[0].audio.shape == (4, FORMAT.samples)
    found = [path for batch in batches for path in batch.paths]
    assert sorted(found) == sorted(item.path for item in dataset.clips.items)
    assert found != paths(loader)  # shuffled anew


def test_a_plain_loader_gives_what_collate_gives(dataset: ClipDataset) -> None:
    (batch,) = DataLoader(dataset, batch_size=8)
    assert same(batch, collate([dataset[index] for index in range(8)]))


def test_subsets_and_splits(dataset: ClipDataset) -> None:
    subset = Subset(dataset, [5, 2])
    assert len(subset) == 2 and same(subset[0], dataset[5])
    parts = random_split(dataset, [0.75, 0.25], generator=torch.Generator().manual_seed(0))
    assert [len(part) for part in parts] == [6, 2]
    found = [paths(DataLoader(part, batch_size=2, shuffle=True)) for part in parts]
    assert sorted(found[0] + found[1]) == sorted(item.path for item in dataset.clips.items)


@pytest.mark.parametrize("workers", [0, 2])
def test_persistent_workers_hear_of_the_next_epoch(dataset: ClipDataset, workers: int) -> None:
    loader = DataLoader(dataset, batch_size=4, num_workers=workers, persistent_workers=workers > 0)
    for epoch in (0, 1, 5):
        dataset.set_epoch(epoch)
        first, _ = loader
        assert same(first, collate([dataset[epoch, index] for index in range(4)]))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda data: pickle.loads(pickle.dumps(data))])
def test_workers_of_a_copy_hear_of_the_next_epoch(dataset: ClipDataset, copied: Any) -> None:
    twin = copied(dataset)
    loader = DataLoader(
        twin, batch_size=4, num_workers=1, persistent_workers=True, multiprocessing_context="fork"
    )
    for epoch in (0, 1):
        twin.set_epoch(epoch)
        first, _ = loader
        assert same(first, collate([dataset[epoch, index] for index in range(4)]))
    assert dataset.epoch == 0


@pytest.mark.parametrize("workers", [0, 2])
def test_keyed_batches_resume_exactly_without_collate(dataset: ClipDataset, workers: int) -> None:
    def order() -> KeyedBatches:
        return KeyedBatches(len(dataset), batch_size=2, seed=3)

    def run(order: KeyedBatches, steps: int) -> list[AVBatch]:
        found: list[AVBatch] = []
        while len(found) < steps:
            for batch in DataLoader(dataset, batch_sampler=order, num_workers=workers):
                found.append(batch)
                order.advance()
                if len(found) == steps:
                    break
        return found

    whole = run(order(), 6)
    begun, resumed = order(), order()
    first = run(begun, 3)
    resumed.load_state_dict(begun.state_dict())
    dataset.set_epoch(7)  # concerns plain indices only
    parts = first + run(resumed, 3)
    assert all(same(one, other) for one, other in zip(whole, parts, strict=True))


def test_mixtures_have_indices_too(dataset: ClipDataset) -> None:
    groups = RandomGroups(len(dataset), size=2)
    mixtures = MixtureDataset(dataset, groups)
    assert same(mixtures[3], mixtures[0, 3]) and same(mixtures[-1], mixtures[0, 7])
    assert same(mixtures[np.int64(3)], mixtures[3]) and len(mixtures[3]) == 2
    dataset.set_epoch(1)
    assert same(mixtures[3], mixtures[1, 3])
    (batch,) = DataLoader(mixtures, batch_size=8)
    assert len(batch) == 16
    for index in (8, -9, (0, 8)):
        with pytest.raises(IndexError, match=f"mixture {-9 if index == -9 else 8} of 8"):
            mixtures[index]


@pytest.fixture
def batch() -> AVBatch:
    """Eight clips that can be told apart in every part, all parts given."""
    rows = torch.arange(8)
    return AVBatch(
        image=rows.to(torch.uint8)[:, None, None, None].expand(8, 3, 4, 4),
        audio=rows.float()[:, None].expand(8, 6),
        flip=rows % 2 == 0,
        gain=rows.float(),
        target=torch.eye(8),
        seeds=tuple(range(8)),
        paths=tuple("abcdefgh"),
        crop=rows.float()[:, None].expand(8, 4),
        size=4,
        mask=rows.to(torch.uint8)[:, None, None].expand(8, 4, 4),
        boxes=tuple(torch.full((1, 4), float(row)) for row in range(8)),
    )


def is_of(part: AVBatch, rows: list[int]) -> bool:
    """Whether every part of a batch is that of some rows."""
    assert part.crop is not None and part.mask is not None and part.size == 4
    tensors: list[Tensor] = [part.image, part.audio, part.gain, part.crop, part.mask]
    firsts = [tensor.flatten(1)[:, 0] if tensor.ndim > 1 else tensor for tensor in tensors]
    numbers = [list(map(int, first)) for first in firsts]
    numbers += [list(part.seeds), ["abcdefgh".index(path) for path in part.paths]]
    numbers += [[int(box[0, 0]) for box in part.boxes if box is not None]]
    numbers += [part.target.argmax(1).tolist() if len(part) else []]
    flips = part.flip.tolist() == [row % 2 == 0 for row in rows]
    return flips and len(part) == len(rows) and all(found == rows for found in numbers)


SELECTIONS: dict[str, tuple[Any, list[int]]] = {
    "first": (slice(6), [0, 1, 2, 3, 4, 5]),
    "every second": (slice(0, None, 2), [0, 2, 4, 6]),
    "backwards": (slice(None, None, -3), [7, 4, 1]),
    "none": (slice(0), []),
    "beyond": (slice(6, 100), [6, 7]),
    "index": (3, [3]),
    "negative": (-1, [7]),
    "numpy": (np.int64(3), [3]),
    "0-d": (torch.tensor(3), [3]),
    "list": ([2, 0], [2, 0]),
    "twice": ([2, 2, -1], [2, 2, 7]),
    "tuple": ((2, 0), [2, 0]),
    "empty list": ([], []),
    "tensor": (torch.tensor([5, 1]), [5, 1]),
    "mask": (torch.arange(8) > 5, [6, 7]),
    "no mask": (torch.zeros(8, dtype=torch.bool), []),
    "list of bools": ([True] + 6 * [False] + [True], [0, 7]),
    "range": (range(1, 3), [1, 2]),
}


@pytest.mark.parametrize("name", SELECTIONS)
def test_a_part_of_a_batch_is_a_batch(batch: AVBatch, name: str) -> None:
    rows, wanted = SELECTIONS[name]
    assert is_of(batch[rows], wanted)


@pytest.mark.parametrize(
    "rows", [8, -9, [0, 8], torch.tensor([8]), torch.ones(7, dtype=torch.bool), [1.0]]
)
@pytest.mark.usefixtures("unchecked")
def test_a_clip_that_is_not_there(batch: AVBatch, rows: Any) -> None:
    with pytest.raises(IndexError):
        batch[rows]


def test_iterating_gives_batches_of_one(batch: AVBatch) -> None:
    parts = list(batch)
    assert len(batch) == len(parts) == 8
    assert all(is_of(part, [row]) for row, part in enumerate(parts))
    assert is_of(collate(parts), list(range(8)))


@pytest.mark.parametrize("part", [lambda b: b[:4], lambda b: b[0::2]])
def test_a_slice_copies_nothing(batch: AVBatch, part: Callable[[AVBatch], AVBatch]) -> None:
    pointers = batch.audio.untyped_storage().data_ptr(), batch.image.untyped_storage().data_ptr()
    found = part(batch)
    assert pointers == (
        found.audio.untyped_storage().data_ptr(),
        found.image.untyped_storage().data_ptr(),
    )


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("part", [*TENSORS, "mask", "seeds", "boxes", "features"])
def test_parts_are_of_equally_many_clips(batch: AVBatch, part: str) -> None:
    """A part of one clip would be broadcast over all."""
    batch = replace(batch, features={"features": torch.zeros(8, 2)})
    value = getattr(batch, part)[:1] if part != "features" else {part: torch.zeros(1, 2)}
    with pytest.raises(ValueError, match=rf"^{part} must be of 8 clips, as paths are, got 1$"):
        replace(batch, **{part: value})


LACKS: dict[str, dict[str, Any]] = {
    "a crop": {"crop": None},
    "a mask": {"mask": None},
    "boxes": {"boxes": ()},
    "features": {"features": {"image": torch.zeros(1, 2, 3)}},
    "size of the crops": {"size": 5},
    "group": {"group": 2},
    "classes": {"target": torch.zeros(1, 9)},
    "samples of audio": {"audio": torch.zeros(1, 5)},
    "axes of the image": {"image": torch.zeros(1, 3, 2, 4, 4, dtype=torch.uint8)},
}


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("what", LACKS)
def test_clips_of_one_batch_have_the_same_parts(batch: AVBatch, what: str) -> None:
    other = replace(batch[1], **LACKS[what])
    for pair in ([batch[0], other], [batch[:0], other, batch[0]]):
        with pytest.raises(ValueError, match=rf"clips of one batch differ in {what}: .* of [ab], "):
            collate(pair)
    assert len(collate([batch[:0], other])) == 1
    with pytest.raises(ValueError, match="batches must be at least one"):
        collate([])


@pytest.mark.usefixtures("unchecked")
def test_data_sets_that_do_not_fit_together(dataset: ClipDataset) -> None:
    larger = ClipDataset(dataset.clips, replace(FORMAT, size=24), train=True)
    loader = DataLoader(ConcatDataset([dataset, larger]), batch_size=16)
    with pytest.raises(ValueError, match=r"differ in size of the crops: 16 of .*, 24 of .*ClipFor"):
        next(iter(loader))


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("key", [slice(2), [0, 1], 1.0, "a", (0, 1, 2), (0, 1.5)], ids=str)
def test_several_samples_at_once_are_a_subset(dataset: ClipDataset, key: Any) -> None:
    for data in (dataset, MixtureDataset(dataset, RandomGroups(len(dataset), size=2))):
        with pytest.raises(TypeError, match=r"got .*: for several samples, use torch.*Subset"):
            data[key]


@pytest.mark.usefixtures("unchecked")
def test_mixtures_of_a_subset_are_refused(dataset: ClipDataset) -> None:
    part: Any = Subset(dataset, [0, 1, 2])
    with pytest.raises(ValueError, match=r"clips must be a ClipDataset; .* got 'Subset'"):
        MixtureDataset(part, RandomGroups(3, size=2))


def test_parts_that_are_not_given_stay_so(dataset: ClipDataset) -> None:
    one = dataset[0]
    assert one[:1].mask is None and same(one[0], one) and len(one[:0]) == 0
