"""The small parts between a recipe and Lightning: position, batches, saves."""

from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import torch
from lightning.pytorch.plugins.io import CheckpointIO
from lightning.pytorch.plugins.precision import Precision
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.nn import Parameter
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from avblocks.checkpoint import saves as _saves


class Position(Protocol):
    """What the engine needs of a batch sampler: where the run stands in the data."""

    @property
    def consumed(self) -> int:
        """Samples that all processes together have trained on."""
        ...

    def __len__(self) -> int:
        """Batches of this process in an epoch."""
        ...

    def advance(self) -> None:
        """Note that a batch has been trained on."""
        ...

    def state_dict(self) -> dict[str, int]:
        """Return the samples consumed."""
        ...

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go to where a state was taken."""
        ...


class Stream:
    """The run's remaining batches as one pass of known length.

    Lightning sees a single epoch of these, so it never has to restart in the middle of one,
    and, knowing the length, it fetches no batch before the last one is trained on.

    Args:
        loader: Gives the rest of the epoch that its sampler stands in.
    """

    def __init__(self, loader: DataLoader[Any]) -> None:
        self.loader: DataLoader[Any] | None = loader
        self.batches = len(loader)
        self.sampler: Any = loader.batch_sampler
        self.count = 0
        self._passes: list[Generator[Any, None, None]] = []

    def close(self) -> None:
        """Let go of the loader, so that its workers end now.

        Left to the garbage collector, amid the Trainer's reference cycles, persistent workers
        take 5 s each to end.
        """
        for batches in self._passes:
            batches.close()
        self.loader = None

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Any]:
        self._passes.append(self._batches())
        return self._passes[-1]

    def _batches(self) -> Generator[Any, None, None]:
        left = self.count
        while left:
            before = left
            for batch in _told(self.loader or ()):
                yield batch
                left -= 1
                if not left:
                    return
            if left == before:
                raise RuntimeError("the loader gave no batch for a whole epoch")


def _told(batches: Iterable[Any]) -> Iterator[Any]:
    """Give batches; the line to a worker that died is cut, whatever way that is noticed."""
    try:
        yield from batches
    except EOFError as error:
        raise ConnectionResetError("the line to it is cut") from error


class WholeSaves(CheckpointIO):
    """Lightning's saves through `_saves`: atomic, hashed, free of code."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        """Write a checkpoint and remove old ones."""
        _saves.save(checkpoint, Path(path).parent, step=checkpoint["run"]["step"])

    def load_checkpoint(
        self, path: Any, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a checkpoint whose hash is right."""
        return _saves.load(Path(path))

    def remove_checkpoint(self, path: Any) -> None:
        """Do nothing: a save removes old ones itself."""


def check_fits(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Refuse the weights of another model.

    Raises:
        ValueError: Naming some parameters that differ.
    """
    wanted = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in state.items()}
    wrong = [name for name in wanted | found if wanted.get(name) != found.get(name)]
    if wrong:
        listed = ", ".join(f"{n} {found.get(n)} for {wanted.get(n)}" for n in wrong[:4])
        raise ValueError(f"the checkpoint is of another model: {len(wrong)} differ: {listed}")


def shard(model: nn.Module, mesh: DeviceMesh) -> None:
    """Spread a model's parameters over processes: each block of a list by itself, then the rest."""
    for module in reversed(list(model.modules())):  # lists within blocks come first
        if isinstance(module, nn.ModuleList):
            for block in module:
                fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh)


def rebind(optimizer: Optimizer, names: Mapping[Parameter, str], model: nn.Module) -> None:
    """Point an optimiser at a model's new parameters, by name.

    Args:
        optimizer: One that has taken no step yet.
        names: Name of each parameter that it was built with.
        model: Has other parameters under the same names.
    """
    new = dict(model.named_parameters())
    for group in optimizer.param_groups:
        group["params"] = [new[names[parameter]] for parameter in group["params"]]


def fill(whole: nn.Module, spread: nn.Module) -> None:
    """Copy a model's values out of a copy whose parameters are spread over processes."""
    values = whole.state_dict(keep_vars=False)
    for name, value in spread.state_dict().items():
        values[name].copy_(value.full_tensor() if isinstance(value, DTensor) else value)


@contextmanager
def evaluating(model: nn.Module, precision: Precision) -> Iterator[None]:
    """Set a model up for evaluation, in a precision, and back again after it."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    with torch.no_grad(), precision.forward_context():
        yield
    for module, training in modes.items():
        module.training = training
