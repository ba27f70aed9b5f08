"""Mixtures: several clips sound at once, and each clip's picture asks for its own sound."""

from dataclasses import dataclass, replace
from operator import index as as_index
from typing import SupportsIndex

from einops import rearrange, repeat
from jaxtyping import Bool, Float, Shaped
from torch import Tensor
from torch.utils.data import Dataset

from avblocks.data.batch import AVBatch, collate
from avblocks.data.dataset import ClipDataset
from avblocks.data.groups import Groups
from avblocks.data.transforms import apply_gain
from avblocks.shapes import require, require_positive


class MixtureDataset(Dataset[AVBatch]):
    """Mixtures as batches of their clips in a row: ``collate`` joins them, and ``mix`` mixes.

    Each clip is read as ``ClipDataset`` reads it. Where that skips a file, training goes on with
    the clip that stands in, and evaluation leaves out the whole mixture.
    """

    def __init__(self, clips: ClipDataset, groups: Groups) -> None:
        self.clips = clips
        self.groups = groups

    def __len__(self) -> int:
        return len(self.groups)

    def __getitem__(self, key: SupportsIndex | tuple[int, int]) -> AVBatch:
        """Read the clips of a mixture, by its index, or epoch and index, as in `ClipDataset`.

        Returns:
            A batch of its clips, or of none if one was skipped in evaluation.

        Raises:
            IndexError: If there is no such mixture.
        """
        epoch, index = key if isinstance(key, tuple) else (self.clips.epoch, as_index(key))
        if not -len(self) <= index < len(self):
            raise IndexError(f"mixture {index} of {len(self)}")
        index %= len(self)
        places = self.groups(epoch, index)
        batch = collate([self.clips[epoch, place] for place in places])
        return replace(batch if len(batch) == len(places) else batch[:0], group=len(places))


@dataclass(frozen=True)
class Mixture:
    """What is heard when the clips of each group sound at once, one row a clip.

    Attributes:
        audio: The mixture that a clip is part of: the sum, which may leave [-1, 1].
        sources: The clip's own part of it.
        silent: Where that is silent.
        size: Clips in a group; those of one stand in a row.
    """

    audio: Float[Tensor, "b s"]
    sources: Float[Tensor, "b s"]
    silent: Bool[Tensor, " b"]
    size: int


def mix(batch: AVBatch, *, size: int = 2, silence: float = 1e-5) -> Mixture:
    """Carry out the gains and add up the sounds of each group, on the batch's device.

    Args:
        batch: The clips, those of a group in a row.
        size: Clips in a group.
        silence: Sum of squares below which a sound is silent (reference: `eval_avsrcsep.py`).

    Raises:
        ValueError: If the batch is no number of whole groups.

    >>> import torch
    >>> audio = torch.tensor([[0.5, 0.5], [0.25, 0.0], [0.0, 0.0], [0.5, 1.0]])
    >>> batch = AVBatch(
    ...     image=torch.zeros(4, 3, 8, 8, dtype=torch.uint8), audio=audio,
    ...     flip=torch.zeros(4, dtype=torch.bool), gain=torch.zeros(4), target=torch.zeros(4, 1),
    ...     seeds=(0, 1, 2, 3), paths=("a", "b", "c", "d"),
    ... )
    >>> mixture = mix(batch)
    >>> mixture.audio[0], mixture.silent
    (tensor([0.7500, 0.5000]), tensor([False, False,  True, False]))
    """
    require_positive(size=size)
    require(len(batch) % size == 0, "batch", len(batch), f"a multiple of {size} clips")
    sources = apply_gain(batch.audio, batch.gain)
    total = rearrange(sources, "(g k) s -> g k s", k=size).sum(dim=1)
    return Mixture(
        audio=repeat(total, "g s -> (g k) s", k=size),
        sources=sources,
        silent=sources.square().sum(dim=1) < silence,
        size=size,
    )


def swap(rows: Shaped[Tensor, "b ..."], *, size: int = 2) -> Shaped[Tensor, "b ..."]:
    """Give each clip what belongs to the next one of its group: pictures, to guide to another.

    Raises:
        ValueError: If the rows are not whole groups of ``size`` clips, each group in a row.

    >>> import torch
    >>> swap(torch.tensor([1, 2, 3, 4]))
    tensor([2, 1, 4, 3])
    """
    require_positive(size=size)
    require(len(rows) % size == 0, "rows", len(rows), f"a multiple of {size}")
    return rows.unflatten(0, (-1, size)).roll(-1, dims=1).flatten(0, 1)
