from itertools import chain

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader, Dataset

from avblocks.data import KeyedBatches
from avblocks.seed import key, sample_generator, sample_seed


def run(batches, count):
    """The next batches, over the ends of epochs, as a trainer takes them."""
    taken = []
    while len(taken) < count:
        for batch in batches:
            taken.append(batch)
            batches.advance()
            if len(taken) == count:
                break
    return taken


def test_seeds_are_fixed_and_of_63_bits():
    assert sample_seed(0, 0, 0) == 2278555635313361279
    seeds = {sample_seed(s, e, i) for s in range(5) for e in range(5) for i in range(40)}
    assert len(seeds) == 1000 and all(0 <= seed < 2**63 for seed in seeds)
    assert sample_seed(1, 11, 1) != sample_seed(11, 1, 1) != sample_seed(1, 1, 11)
    first, second = sample_generator(1, 2, 3), sample_generator(1, 2, 3)
    assert torch.equal(torch.rand(4, generator=first), torch.rand(4, generator=second))


@settings(max_examples=40, deadline=None)
@given(
    length=st.integers(4, 40),
    batch_size=st.integers(1, 6),
    world_size=st.integers(1, 4),
    seed=st.integers(0, 5),
)
def test_ranks_share_an_epoch_without_overlap(length, batch_size, world_size, seed):
    shares = []
    for rank in range(world_size):
        share = KeyedBatches(
            length, batch_size=batch_size, seed=seed, rank=rank, world_size=world_size
        )
        shares.append(list(share))
        assert len(shares[-1]) == len(share)
    sizes = {len(batch) for share in shares for batch in share}
    assert len(sizes) == 1 and 1 <= sizes.pop() <= batch_size
    indices = [index for _, index in chain.from_iterable(chain.from_iterable(shares))]
    assert len(set(indices)) == len(indices) and set(indices) <= set(range(length))
    left = length - len(indices)
    assert left < max(batch_size * world_size, 1) and (left < world_size or len(shares[0]) >= 1)


@settings(max_examples=25, deadline=None)
@given(stop=st.integers(0, 25))
def test_going_on_gives_the_rest(stop):
    whole = run(KeyedBatches(23, batch_size=4, seed=3), 26)
    first = KeyedBatches(23, batch_size=4, seed=3)
    head = run(first, stop) if stop else []
    second = KeyedBatches(23, batch_size=4, seed=3)
    second.load_state_dict(first.state_dict())
    assert second.consumed == 4 * stop and second.epoch == stop // 5
    assert head + run(second, 26 - stop) == whole
    assert {epoch for batch in whole for epoch, _ in batch} == {0, 1, 2, 3, 4, 5}


def test_world_size_may_change_and_the_global_batch_may_not():
    one = KeyedBatches(40, batch_size=8, seed=0)
    run(one, 3)
    pair = [KeyedBatches(40, batch_size=4, seed=0, rank=rank, world_size=2) for rank in (0, 1)]
    for share in pair:
        share.load_state_dict(one.state_dict())
    for whole, *shares in zip(one, *pair, strict=True):
        assert sorted(whole) == sorted(chain.from_iterable(shares))
    with pytest.raises(ValueError, match=r"consumed 24 samples in global batches of 8 .* is 4"):
        KeyedBatches(40, batch_size=4, seed=0).load_state_dict(one.state_dict())
    with pytest.raises(ValueError, match="on 40 samples and these are 41"):
        KeyedBatches(41, batch_size=8, seed=0).load_state_dict(one.state_dict())


def test_epochs_and_seeds_differ():
    first, second = run(KeyedBatches(32, batch_size=32, seed=0), 2)
    assert [i for _, i in first] != [i for _, i in second] != list(range(32))
    assert first != run(KeyedBatches(32, batch_size=32, seed=1), 1)[0]


class Keys(Dataset):
    def __len__(self):
        return 20

    def __getitem__(self, key):
        return key


@pytest.mark.parametrize("workers", [0, 2])
def test_workers_change_nothing(workers):
    batches = KeyedBatches(20, batch_size=4, seed=0)
    loader = DataLoader(
        Keys(),
        batch_sampler=batches,
        num_workers=workers,
        collate_fn=list,
        multiprocessing_context="fork" if workers else None,
    )
    assert len(loader) == 5
    assert list(loader) == list(KeyedBatches(20, batch_size=4, seed=0))


@pytest.mark.parametrize(
    ("length", "settings", "message"),
    [
        (0, {"batch_size": 1}, "0 samples are too few for 1 ranks"),
        (3, {"batch_size": 1, "world_size": 4}, "3 samples are too few for 4 ranks"),
        (3, {"batch_size": 0}, "batch_size >= 1"),
        (3, {"batch_size": 1, "rank": 1}, "rank < world_size"),
    ],
)
def test_impossible_numbers(length, settings, message):
    with pytest.raises(ValueError, match=message):
        KeyedBatches(length, seed=0, **settings)


def test_numbers_of_other_libraries_are_keys_too():
    assert key(np.int64(7), "masks") == key(torch.tensor(7), "masks") == key(7, "masks")
