"""`encode_once`: encode clips once with a frozen encoder, for all epochs of training a head."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, Protocol, SupportsIndex, runtime_checkable

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from avblocks.data import AVBatch, ClipDataset, collate
from avblocks.progress import progress_bar
from avblocks.seed import sample_seed
from avblocks.tasks.evaluate import Task, evaluation_mode


@runtime_checkable
class FeatureTask(Protocol):
    """A `Task` whose head reads features of a frozen encoder, see `encode_once`."""

    frozen: bool

    def features(self, batch: AVBatch) -> Mapping[str, Tensor]:
        """Return what the head reads of each clip, by name; `batch.features` if it has them."""
        ...


class FeatureDataset(Dataset[AVBatch]):
    """Features of clips from a frozen encoder: batches with `AVBatch.features` only.

    An unusable clip is replaced by the next usable one, as in training on the files.

    Args:
        table: All usable clips in one batch.
        rows: For each clip of the set, its row in ``table``.
        seed: Seed of the run.
    """

    def __init__(self, table: AVBatch, rows: Sequence[int], *, seed: int) -> None:
        self.table, self.rows, self.seed = table, rows, seed

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: SupportsIndex | tuple[int, int]) -> AVBatch:
        """Return the clip of an index, or of an epoch and index, as a batch of one."""
        return self.__getitems__([key])[0]

    def __getitems__(self, keys: Sequence[SupportsIndex | tuple[int, int]]) -> list[AVBatch]:
        """Return several clips as a list of one batch, so that `DataLoader` has nothing to join."""
        pairs = [key if isinstance(key, tuple) else (0, int(key)) for key in keys]
        part = self.table[[self.rows[index] for _, index in pairs]]
        return [replace(part, seeds=tuple(sample_seed(self.seed, *pair) for pair in pairs))]


@torch.no_grad()
def encode_once(
    task: Task,
    loader: DataLoader[AVBatch],
    *,
    folder: str | Path,
    on_batch: Callable[[AVBatch], object] | None = None,
    relate: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]] | None = None,
) -> FeatureDataset:
    """Encode each clip of a loader once, in evaluation mode, and keep the features on disk.

    Args:
        task: A task with a frozen encoder.
        loader: Each clip of a `ClipDataset` that does not augment, once.
        folder: Folder for a file per feature. The files must stay as long as the result is used;
            they are mapped into memory.
        on_batch: Called with each batch before it is encoded.
        relate: Function of the features of all clips that adds further ones.

    Raises:
        ValueError: If the encoder trains, the clips are not those of a whole `ClipDataset` or are
            drawn at random, or no clip can be used.
        OSError: If the features cannot be written.
    """
    fixed, clips = _require_fixed(task, loader.dataset)
    epochs, folder = (0, clips.epoch), Path(folder)  # that of a batch sampler, or of the set
    indices = {sample_seed(clips.seed, e, n): n for e in epochs for n in range(len(clips))}
    batches, found, skipped = [], [], 0
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack, evaluation_mode(task):
        writer = _Writer(folder, stack)
        for batch in progress_bar(loader, "encoding", unit="batch", leave=False):
            if on_batch is not None:
                on_batch(batch)
            skipped += len(batch.skipped)
            if len(batch):
                writer.add(fixed.features(batch.to(task.device)))
                found += [indices[seed] for seed in batch.seeds]
                batches.append(_emptied(batch))
    if not batches:
        raise ValueError("none of the clips can be used")
    if (unread := len(clips) - len(set(found)) - skipped) > 0:
        raise ValueError(
            f"{unread} of {len(clips)} clips were not read: give a loader without drop_last or a "
            "sampler of a part, and take a part of the result"
        )
    features: Mapping[str, Tensor] = writer.features(len(found))
    if relate is not None:
        features = relate(features)
    table = replace(collate(batches), features=features)
    rows = {index: row for row, index in enumerate(found)}
    count = len(clips)
    order = [
        next(i % count for i in range(n, n + count) if i % count in rows) for n in range(count)
    ]
    return FeatureDataset(table, [rows[index] for index in order], seed=clips.seed)


def _require_fixed(task: Task, clips: object) -> tuple[Any, ClipDataset]:
    """Raise a ``ValueError`` unless features of a task and clips are equal in all epochs."""
    if not isinstance(task, FeatureTask) or not task.frozen:
        raise ValueError(f"{type(task).__name__} trains its encoder: its features change")
    if not isinstance(clips, ClipDataset):
        kind = type(clips).__name__
        raise ValueError(
            f"loader.dataset is a {kind}: give the whole ClipDataset, and take a part of the result"
        )
    if clips.augments:
        raise ValueError("the clips are drawn at random: give a ClipDataset with augment=False")
    return task, clips


class _Writer:
    """Append features to files, so that a full disk raises an error and does not crash."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder, self.stack = folder, stack
        self.files: dict[str, IO[bytes]] = {}
        self.kinds: dict[str, tuple[torch.dtype, tuple[int, ...]]] = {}

    def add(self, features: Mapping[str, Tensor]) -> None:
        """Append a batch."""
        for name, value in features.items():
            if name not in self.files:
                self.files[name] = self.stack.enter_context((self.folder / name).open("wb"))
                self.kinds[name] = value.dtype, tuple(value.shape[1:])
            rows = value.cpu().contiguous().flatten().view(torch.uint8)
            self.files[name].write(rows.numpy().data)

    def features(self, count: int) -> dict[str, Tensor]:
        """Map the files, which are closed now, into memory."""
        mapped = {}
        for name, (dtype, shape) in self.kinds.items():
            size = count * torch.Size(shape).numel()
            flat = torch.from_file(str(self.folder / name), shared=False, size=size, dtype=dtype)
            mapped[name] = flat.view(count, *shape)
        return mapped


def _emptied(batch: AVBatch) -> AVBatch:
    """The batch without images and waveforms."""
    empty: dict[str, Any] = {"image": batch.image[..., :0, :0], "audio": batch.audio[:, :0]}
    return replace(batch, **empty, crop=None, skipped=())
