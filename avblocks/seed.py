"""Random seeds as a function of a key, by one hash.

Random numbers for a sample, a step or a weight depend only on the parts of their key, so that runs
resume exactly, even with other numbers of workers and processes.
"""

import hashlib
import operator
import random
from collections.abc import Sequence
from typing import Literal, SupportsIndex

import torch


def key(*parts: SupportsIndex | str) -> int:
    """Return a random seed of 63 bits that depends only on ``parts``.

    >>> key(0, "train", 7) == key(0, "train", 7) != key(0, "train", 8)
    True
    """
    plain = tuple(part if isinstance(part, str | int) else operator.index(part) for part in parts)
    return _hash(repr(plain)) >> 1


def generators(seeds: Sequence[int], use: str) -> list[torch.Generator]:
    """Return a random generator for each seed, by the `key` of the seed and a use."""
    return [torch.Generator().manual_seed(key(seed, use)) for seed in seeds]


def sample_seed(seed: int, epoch: int, index: int) -> int:
    """Return the seed of a sample, 63 bits.

    Args:
        seed: Seed of the run.
        epoch: Epoch, from 0.
        index: Index of the sample in its data set.

    Returns:
        A number that depends only on the key, on every machine.
    """
    # Do not change the format of the key or the byte order: old runs could not resume exactly.
    return _hash(f"{seed},{epoch},{index}", order="big") >> 1


def sample_generator(seed: int, epoch: int, index: int) -> torch.Generator:
    """Return the random generator of a sample, see `sample_seed`."""
    return torch.Generator().manual_seed(sample_seed(seed, epoch, index))


def seed_all(*parts: SupportsIndex | str) -> None:
    """Seed the random states of Python, NumPy and torch with `key` of ``parts``."""
    import numpy as np

    seed = key(*parts)
    random.seed(seed)
    np.random.seed(seed % 2**32)
    # torch.manual_seed takes a millisecond longer if CUDA is not initialized.
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed)


def _hash(text: str, *, order: Literal["little", "big"] = "little") -> int:
    digest = hashlib.blake2b(text.encode(errors="surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest, order)
