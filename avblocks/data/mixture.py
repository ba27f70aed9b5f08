"""Audio mixtures of several clips, for sound separation guided by the image of each clip."""

from dataclasses import dataclass, replace
from typing import SupportsIndex

from einops import rearrange, repeat
from jaxtyping import Bool, Float, Shaped
from torch import Tensor
from torch.utils.data import Dataset

from avblocks.data.batch import AVBatch, collate
from avblocks.data.dataset import ClipDataset, epoch_and_index
from avblocks.data.groups import Groups
from avblocks.data.transforms import apply_gain
from avblocks.shapes import require, require_positive


class MixtureDataset(Dataset[AVBatch]):
    """Data set of mixtures, each a batch of its clips; ``mix`` adds up their audio.

    Each clip is read as ``ClipDataset`` reads it. If a file is skipped, training uses the clip that
    ``ClipDataset`` substitutes, and evaluation skips the whole mixture.

    Args:
        clips: The clips, a `ClipDataset`.
        groups: The clips of each mixture.

    Raises:
        ValueError: If ``clips`` is another data set, such as a ``Subset``.
    """

    def __init__(self, clips: ClipDataset, groups: Groups) -> None:
        takes = "a ClipDataset; for a part of one, give ClipDataset a ClipSet of those items"
        require(isinstance(clips, ClipDataset), "clips", type(clips).__name__, takes)
        self.clips = clips
        self.groups = groups

    def __len__(self) -> int:
        return len(self.groups)

    def __getitem__(self, key: SupportsIndex | tuple[int, int]) -> AVBatch:
        """Read the clips of a mixture by its index, or by epoch and index, as in `ClipDataset`.

        Returns:
            A batch of its clips; empty if one was skipped in evaluation.

        Raises:
            IndexError: If there is no such mixture.
        """
        epoch, index = epoch_and_index(key, epoch=self.clips.epoch)
        if not -len(self) <= index < len(self):
            raise IndexError(f"mixture {index} of {len(self)}")
        index %= len(self)
        indices = self.groups(epoch, index)
        batch = collate([self.clips[epoch, clip] for clip in indices])
        return replace(batch if len(batch) == len(indices) else batch[:0], group=len(indices))


@dataclass(frozen=True)
class Mixture:
    """Mixed audio of each group, with one row per clip.

    Attributes:
        audio: The mixture that contains the clip: a sum, which may exceed [-1, 1].
        sources: The audio of the clip in the mixture.
        silent: Which sources are silent.
        size: Number of consecutive clips in a group.
    """

    audio: Float[Tensor, "b s"]
    sources: Float[Tensor, "b s"]
    silent: Bool[Tensor, " b"]
    size: int


def mix(batch: AVBatch, *, size: int = 2, silence: float = 1e-5) -> Mixture:
    """Apply the gains and add up the audio of each group, on the device of the batch.

    Args:
        batch: The clips, with those of a group in consecutive rows.
        size: Clips in a group.
        silence: Sum of squares below which a source is silent (reference: `eval_avsrcsep.py`).

    Raises:
        ValueError: If the number of clips is not a multiple of ``size``, or they form other groups.

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
    takes = f"{size}, the clips of a mixture, or 1 for clips without groups"
    require(batch.group in (1, size), "batch.group", batch.group, takes)
    sources = apply_gain(batch.audio, batch.gain)
    total = rearrange(sources, "(g k) s -> g k s", k=size).sum(dim=1)
    return Mixture(
        audio=repeat(total, "g s -> (g k) s", k=size),
        sources=sources,
        silent=sources.square().sum(dim=1) < silence,
        size=size,
    )


def swap(rows: Shaped[Tensor, "b ..."], *, size: int = 2) -> Shaped[Tensor, "b ..."]:
    """Rotate the rows of each group by one, for example to guide separation by mismatched images.

    Raises:
        ValueError: If the number of rows is not a multiple of ``size``.

    >>> import torch
    >>> swap(torch.tensor([1, 2, 3, 4]))
    tensor([2, 1, 4, 3])
    """
    require_positive(size=size)
    require(len(rows) % size == 0, "rows", len(rows), f"a multiple of {size}")
    return rows.unflatten(0, (-1, size)).roll(-1, dims=1).flatten(0, 1)
