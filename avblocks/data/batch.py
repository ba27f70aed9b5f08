"""Batches of clips, as they leave the workers."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, SupportsIndex

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor
from torch.nn.functional import pad
from torch.utils.data._utils.collate import default_collate_fn_map

# Fields of a batch that are tensors, if given.
_TENSORS = ("image", "audio", "flip", "gain", "target", "crop", "mask")


@dataclass(frozen=True)
class Skipped:
    """A file that could not be used, and the reason."""

    path: str
    reason: str


@dataclass(frozen=True)
class AVBatch:
    """Clips with what was drawn for them; crops, flips and gains are for the device to carry out.

    Attributes:
        image: Images, or videos of ``t`` frames, filled up with black on the right and below to be
            of one size.
        audio: Windows of sound in [-1, 1].
        flip: Which pictures to mirror.
        gain: How much louder to make the sounds, dB.
        target: 1 for each class of a clip, else 0.
        seeds: Seed of each sample, on the host.
        paths: Where each clip came from.
        skipped: Files met on the way that could not be used.
        crop: Left, top, right, bottom of the part of each picture to look at, pixels; all of it if
            not given.
        size: Side of the square that the part is to become, pixels.
        mask: Class numbers of the pictures' pixels, 0 for background, if the clips have masks.
        boxes: Of each picture the boxes of what sounds, see ``AVClip``; on the host, in shares of
            the whole picture, whatever is cropped out of it.
        features: What a frozen encoder made of the clips, by name, in place of image and audio,
            which are empty then; `avblocks.tasks.encode_once` makes such batches.
        group: Clips that belong together and stand in a row, such as those of a mixture or pair.
    """

    image: UInt8[Tensor, "b 3 *t height width"]
    audio: Float[Tensor, "b s"]
    flip: Bool[Tensor, " b"]
    gain: Float[Tensor, " b"]
    target: Float[Tensor, "b classes"]
    seeds: tuple[int, ...]
    paths: tuple[str, ...]
    skipped: tuple[Skipped, ...] = ()
    crop: Float[Tensor, "b 4"] | None = None
    size: int = 0
    mask: UInt8[Tensor, "b height width"] | None = None
    boxes: tuple[Float[Tensor, "_ 4"] | None, ...] = ()
    features: Mapping[str, Tensor] | None = None
    group: int = 1

    def __len__(self) -> int:
        return len(self.paths)

    def __iter__(self) -> Iterator["AVBatch"]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, rows: SupportsIndex | slice | Sequence[int] | Tensor) -> "AVBatch":
        """Return a batch of selected clips: ``batch[:6]``, ``batch[0::2]``, ``batch[[2, 0]]``.

        The clips stay in groups if whole groups are selected.

        ``rows``: a slice, an index (for a batch of one clip), a list of indices or a boolean mask.

        Raises:
            IndexError: If there is no such clip.
        """
        if isinstance(rows, Tensor):
            where: Any = rows.numpy(force=True)
        else:
            where = list(rows) if isinstance(rows, Sequence) else rows
        indices = np.atleast_1d(np.arange(len(self))[where]).tolist()
        # A slice of a tensor is a view, and needs no indices on its device.
        forward = isinstance(rows, slice) and (rows.step or 1) > 0
        part = self.map(lambda tensor: tensor[rows if forward else indices])
        return replace(
            part,
            seeds=tuple(self.seeds[i] for i in indices),
            paths=tuple(self.paths[i] for i in indices),
            boxes=tuple(self.boxes[i] for i in indices) if self.boxes else (),
            group=self.group if _in_groups(indices, self.group) else 1,
        )

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> "AVBatch":
        """Give the batch with its tensors on a device."""
        return self.map(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> "AVBatch":
        """Give the batch with its tensors in page-locked memory; ``DataLoader`` calls this."""
        return self.map(Tensor.pin_memory)

    def map(self, function: Callable[[Tensor], Tensor]) -> "AVBatch":
        """Apply a function to each tensor, such as one that takes some rows of it."""
        tensors = {name: x for name in _TENSORS if (x := getattr(self, name)) is not None}
        changed: dict[str, Any] = {name: function(tensor) for name, tensor in tensors.items()}
        if self.features is not None:
            changed["features"] = {name: function(x) for name, x in self.features.items()}
        return replace(self, **changed)


def collate(batches: Sequence[AVBatch]) -> AVBatch:
    """Join batches, of one clip or none each, in their order."""
    sizes = (batch.image.shape[-2:] for batch in batches)
    sides = [max(lengths) for lengths in zip(*sizes, strict=True)]
    crops = [batch.crop for batch in batches if batch.crop is not None]
    masks = [_filled(batch.mask, *sides) for batch in batches if batch.mask is not None]
    features = [batch.features for batch in batches if batch.features is not None]
    return AVBatch(
        image=torch.cat([_filled(batch.image, *sides) for batch in batches]),
        audio=torch.cat([batch.audio for batch in batches]),
        flip=torch.cat([batch.flip for batch in batches]),
        gain=torch.cat([batch.gain for batch in batches]),
        target=torch.cat([batch.target for batch in batches]),
        seeds=sum((batch.seeds for batch in batches), ()),
        paths=sum((batch.paths for batch in batches), ()),
        skipped=sum((batch.skipped for batch in batches), ()),
        crop=torch.cat(crops) if crops else None,
        size=batches[0].size,
        mask=torch.cat(masks) if masks else None,
        boxes=sum((batch.boxes for batch in batches), ()),
        features={name: torch.cat([one[name] for one in features]) for name in features[0]}
        if features
        else None,
        group=batches[0].group,
    )


# So that a plain `DataLoader` joins samples.
default_collate_fn_map[AVBatch] = lambda batches, **_: collate(batches)


def _in_groups(indices: Sequence[int], size: int) -> bool:
    """Return whether the clips of an index are whole groups, each in a row."""
    groups = (indices[start : start + size] for start in range(0, len(indices), size))
    return all(g[0] % size == 0 and g == list(range(g[0], g[0] + size)) for g in groups)


def _filled(
    image: UInt8[Tensor, "*shape height width"], down: int, across: int
) -> UInt8[Tensor, "*shape {down} {across}"]:
    """Add black on the right and below."""
    return pad(image, (0, across - image.shape[-1], 0, down - image.shape[-2]))
