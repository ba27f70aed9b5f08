"""Encode clips in many processes, in order, with a `DataLoader`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch.utils.data import DataLoader, Dataset

from avblocks.data.batch import Skipped
from avblocks.data.clip import ClipError
from avblocks.data.datasets.clipset import ClipSet
from avblocks.data.pool import end_with_parent
from avblocks.data.shards.encode import ShardSettings, encode_clip

Result = tuple[int, dict[str, bytes] | Skipped]
"""Number of a clip, and its members by suffix or the reason why it was skipped."""


def encode_clips(
    clips: ClipSet, order: Sequence[int], *, settings: ShardSettings, workers: int, timeout: float
) -> DataLoader[Result]:
    """Encode clips as members of shards.

    Args:
        clips: The clips.
        order: Numbers of the wanted clips.
        settings: Settings of the shards.
        workers: Number of processes that decode and encode; 0 for this one.
        timeout: Seconds without a clip after which iteration fails.

    Returns:
        A loader that yields the results in the given order.
    """
    return DataLoader(
        _Encoded(clips, settings),
        batch_size=None,
        sampler=order,
        num_workers=workers,
        timeout=timeout if workers else 0,
        collate_fn=_identity,
        worker_init_fn=end_with_parent,
    )


@dataclass(frozen=True)
class _Encoded(Dataset[Result]):
    """Data set of encoded clips, or of the reasons why they were skipped."""

    clips: ClipSet
    settings: ShardSettings

    def __getitem__(self, index: int) -> Result:
        item = self.clips.items[index]
        try:
            return index, encode_clip(item, classes=self.clips.classes, settings=self.settings)
        except ClipError as error:
            return index, Skipped(path=error.path, reason=error.reason)


def _identity(result: Any) -> Any:
    return result
