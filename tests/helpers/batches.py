"""Batches of random clips for tests of tasks."""

from typing import Any

import torch

from avblocks.data import AVBatch, ClipFormat


def random_batch(format: ClipFormat, count: int = 4, **parts: Any) -> AVBatch:
    """Clips of two classes, the same in each call; ``parts`` are added or replaced."""
    random = torch.Generator().manual_seed(0)
    size = (count, 3, format.size, format.size)
    given = {
        "image": torch.randint(256, size, generator=random).byte(),
        "audio": torch.rand(count, format.samples, generator=random) - 0.5,
        "flip": torch.zeros(count, dtype=torch.bool),
        "gain": torch.zeros(count),
        "target": torch.zeros(count, 2),
        "seeds": tuple(range(count)),
        "paths": ("a.mp4",) * count,
    }
    return AVBatch(**given | parts)
