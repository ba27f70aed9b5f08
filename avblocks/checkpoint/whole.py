"""Unwrap models from compilation and data parallelism; gather and shard tensors."""

from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn
from torch.nn.parallel import DataParallel, DistributedDataParallel
from torch.optim.swa_utils import AveragedModel

from avblocks.wrappers import inner_module

Wrapped = DataParallel | DistributedDataParallel | AveragedModel
_SHARDED = "torch.distributed.fsdp"  # compared by name: the import takes seconds


def unwrapped(model: nn.Module) -> Any:
    """Return the module inside wrappers, data parallelism, and averages of weights."""
    while True:
        if isinstance(model, Wrapped):
            model = model.module
        elif (inside := inner_module(model)) is not model:
            model = inside
        else:
            return model


def class_of(module: nn.Module) -> type:
    """Return the class of a module, or the one it had before ``fully_shard``."""
    return next(k for k in type(module).__mro__ if not k.__module__.startswith(_SHARDED))


def is_sharded(values: Iterable[Tensor]) -> bool:
    """Return whether any of the tensors is sharded over several processes."""
    return any(hasattr(value, "full_tensor") for value in values)


def whole(value: Tensor) -> Tensor:
    """Gather a tensor if it is sharded; all processes must call this."""
    return getattr(value, "full_tensor", lambda: value)()


def sharded_like(value: Any, own: Tensor) -> Any:
    """Shard a whole tensor as one of a model of its shape; every process gives the same tensor."""
    if not hasattr(own, "full_tensor") or getattr(value, "shape", None) != own.shape:
        return value
    from torch.distributed.tensor import distribute_tensor  # on use: the import takes seconds

    like: Any = own
    there = value.to(own.device)
    return distribute_tensor(there, like.device_mesh, like.placements, src_data_rank=None)
