"""Batches of clips, as they leave the workers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor


@dataclass(frozen=True)
class Skipped:
    """A file that could not be used.

    Attributes:
        path: The file.
        reason: Why not.
    """

    path: str
    reason: str


@dataclass(frozen=True)
class AVBatch:
    """Clips with what was drawn for them; flips and gains are for the device to carry out.

    Attributes:
        image: Cropped pictures.
        audio: Windows of sound in [-1, 1].
        flip: Which pictures to mirror.
        gain: How much louder to make the sounds, dB.
        target: 1 for each class of a clip, else 0.
        seeds: Seed of each sample, on the host.
        paths: Where each clip came from.
        skipped: Files met on the way that could not be used.
    """

    image: UInt8[Tensor, "b 3 height width"]
    audio: Float[Tensor, "b s"]
    flip: Bool[Tensor, " b"]
    gain: Float[Tensor, " b"]
    target: Float[Tensor, "b classes"]
    seeds: tuple[int, ...]
    paths: tuple[str, ...]
    skipped: tuple[Skipped, ...] = ()

    def __len__(self) -> int:
        return len(self.paths)

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> "AVBatch":
        """Give the batch with its tensors on a device."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> "AVBatch":
        """Give the batch with its tensors in page-locked memory; ``DataLoader`` calls this."""
        return self._map(Tensor.pin_memory)

    def _map(self, function: Callable[[Tensor], Tensor]) -> "AVBatch":
        """Apply a function to each tensor."""
        return replace(
            self,
            image=function(self.image),
            audio=function(self.audio),
            flip=function(self.flip),
            gain=function(self.gain),
            target=function(self.target),
        )


def collate(batches: Sequence[AVBatch]) -> AVBatch:
    """Join batches, of one clip or none each, in their order."""
    return AVBatch(
        image=torch.cat([batch.image for batch in batches]),
        audio=torch.cat([batch.audio for batch in batches]),
        flip=torch.cat([batch.flip for batch in batches]),
        gain=torch.cat([batch.gain for batch in batches]),
        target=torch.cat([batch.target for batch in batches]),
        seeds=sum((batch.seeds for batch in batches), ()),
        paths=sum((batch.paths for batch in batches), ()),
        skipped=sum((batch.skipped for batch in batches), ()),
    )
