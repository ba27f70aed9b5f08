"""`Features`: features of all clips of a run, for a frozen encoder without augmentation."""

import shutil
from collections.abc import Callable, Sequence, Sized
from dataclasses import replace
from functools import cached_property
from typing import Any, Self, cast

from torch.utils.data import DataLoader, Dataset

from avblocks.data import AVBatch
from avblocks.data.datasets import ClipSet
from avblocks.tasks import FeatureDataset, Task, encode_once
from recipes.common.data_settings import Data
from recipes.common.loaders import dataset, keyed_loader, sharing_loader
from recipes.engine import OpenRun


class Features:
    """Features of the clips of a run by a frozen encoder, stored in the run folder during training.

    Each process encodes all clips before its first batch, after the weights of the checkpoint are
    loaded. Use it as a context manager, which removes the files at the end.

    Args:
        run: The run.
        model: A task with a frozen encoder.
        data: Settings of the data.
        on_batch: Called with each batch before it is encoded.
    """

    def __init__(
        self, run: OpenRun, model: Task, data: Data, *, on_batch: Callable[[AVBatch], object]
    ) -> None:
        self.run, self.model, self.data, self.on_batch = run, model, data, on_batch
        self.folder = run.settings.folder / "features" / str(run.fabric.global_rank)
        self.here = replace(data, workers=0)  # features are read without workers

    def train_loader(
        self, clips: ClipSet, *, batch: int, seed: int, whole: bool
    ) -> Callable[[int, int], DataLoader[AVBatch]]:
        """Make the training loader of a process from its rank and the world size."""
        samples = dataset(clips, self.data, train=True, seed=seed, whole=whole)
        loader = sharing_loader(samples, self.data, batch=batch)
        encoded = _Deferred(lambda: self._encode("train", loader), length=len(samples))
        return lambda *place: keyed_loader(encoded, self.here, batch, seed, *place)

    def test_loader(
        self, loader: DataLoader[AVBatch], *, batch: int
    ) -> Callable[[], DataLoader[AVBatch]]:
        """Return a function that makes the loader of an evaluation from the loader of its clips."""
        length = len(cast(Sized, loader.dataset))
        encoded = _Deferred(lambda: self._encode("test", loader), length=length)
        return lambda: sharing_loader(encoded, self.here, batch=batch)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the files."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _encode(self, name: str, loader: DataLoader[AVBatch]) -> FeatureDataset:
        self.model.to(self.run.fabric.device)
        relate = getattr(self.model, "relate", None) if name == "train" else None
        with self.run.precision():
            return encode_once(
                self.model,
                loader,
                folder=self.folder / name,
                on_batch=self.on_batch,
                relate=relate,
            )


class _Deferred(Dataset[AVBatch]):
    """Data set whose samples are made on first access."""

    def __init__(self, make: Callable[[], FeatureDataset], *, length: int) -> None:
        self.make, self.length = make, length

    @cached_property
    def samples(self) -> FeatureDataset:
        """The samples."""
        return self.make()

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, key: Any) -> AVBatch:
        return self.samples[key]

    def __getitems__(self, keys: Sequence[Any]) -> list[AVBatch]:
        return self.samples.__getitems__(keys)
