"""Batch sampler for exact resume: order and randomness are pure functions of a key.

The state is one integer, the number of samples consumed. The number of workers and of ranks may
change when a run is resumed; the global batch size may not.
"""

from collections.abc import Iterator

import torch
from torch.utils.data import Sampler

from avblocks.seed import sample_generator


class KeyedBatches(Sampler[list[tuple[int, int]]]):
    """Batch sampler of (epoch, index), shuffled in each epoch, for one rank.

    A global batch is a slice of the permutation of the epoch, of which each rank takes every
    ``world_size``-th sample. An incomplete batch at the end of an epoch is dropped, unless the
    whole data set is smaller than a batch: then it is the batch. Iteration yields the rest of the
    current epoch and does not change the state, since workers prefetch; call ``advance`` after
    each training step.

    Args:
        length: Samples in the data set.
        batch_size: Samples per batch and rank.
        seed: Seed of the order.
        rank: Rank of this process.
        world_size: Number of processes.

    Raises:
        ValueError: If a number is out of range, or there are fewer samples than ranks.

    >>> batches = KeyedBatches(6, batch_size=2, seed=0)
    >>> len(batches), sorted(index for batch in batches for _, index in batch)
    (3, [0, 1, 2, 3, 4, 5])
    """

    def __init__(
        self, length: int, *, batch_size: int, seed: int, rank: int = 0, world_size: int = 1
    ) -> None:
        if batch_size < 1 or not 0 <= rank < world_size:
            given = f"{batch_size}, {rank} and {world_size}"
            raise ValueError(f"expected batch_size >= 1 and 0 <= rank < world_size, got {given}")
        if length < world_size:
            raise ValueError(f"{length} samples are too few for {world_size} ranks")
        self.length = length
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.batch = min(batch_size * world_size, length // world_size * world_size)
        self.batches = 0

    @property
    def consumed(self) -> int:
        """Number of samples consumed by all ranks: the whole state."""
        return self.batches * self.batch

    @property
    def epoch(self) -> int:
        """The current epoch, from 0."""
        return self.batches // len(self)

    def __len__(self) -> int:
        return self.length // self.batch

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        epoch, done = divmod(self.batches, len(self))
        generator = sample_generator(self.seed, epoch, -1)
        order = torch.randperm(self.length, generator=generator).tolist()
        for start in range(done * self.batch, len(self) * self.batch, self.batch):
            share = order[start : start + self.batch][self.rank :: self.world_size]
            yield [(epoch, index) for index in share]

    def advance(self) -> None:
        """Count one batch as consumed."""
        self.batches += 1

    def state_dict(self) -> dict[str, int]:
        """Return the number of consumed samples, and the two sizes that must not change."""
        return {"consumed": self.consumed, "length": self.length, "batch": self.batch}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Resume from the result of ``state_dict``, also with another world size.

        Raises:
            ValueError: If the data set has another length or the global batch another size.
        """
        if state["length"] != self.length:
            raise ValueError(
                f"the run was on {state['length']} samples and these are {self.length}: resume on "
                "the same data, or start a new run"
            )
        batches, rest = divmod(state["consumed"], self.batch)
        if rest or state["batch"] != self.batch:
            raise ValueError(
                f"the run consumed {state['consumed']} samples in global batches of "
                f"{state['batch']} and this one is {self.batch}: resume with the same "
                "batch size x ranks, or start a new run"
            )
        self.batches = batches
