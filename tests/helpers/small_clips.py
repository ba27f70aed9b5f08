"""Half-second clips of random values and an encoder of their size."""

import torch

from avblocks import av_vit
from avblocks.data import AVBatch, ClipFormat, collate

FORMAT = ClipFormat(seconds=0.5, size=16, mels=32)


def clip(index: int, *, classes: int = 3) -> AVBatch:
    random = torch.Generator().manual_seed(index)
    return AVBatch(
        image=torch.randint(256, (1, 3, 16, 16), dtype=torch.uint8, generator=random),
        audio=torch.rand(1, FORMAT.samples, generator=random) - 0.5,
        flip=torch.zeros(1, dtype=torch.bool),
        gain=torch.zeros(1),
        target=torch.eye(classes)[[index % classes]],
        seeds=(index,),
        paths=(f"{index}.mp4",),
    )


def encoder(*, depth: int = 1, **options: float):
    return av_vit(
        16, depth=depth, num_heads=2, patch=8, image_size=16, audio_size=(32, 32), **options
    )


BATCHES = [collate([clip(n) for n in range(start, start + 3)]) for start in (0, 3)]
