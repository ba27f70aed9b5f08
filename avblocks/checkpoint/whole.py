"""Models out of what they are wrapped in to be compiled, replicated or sharded."""

from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DataParallel, DistributedDataParallel


def unwrapped(model: nn.Module) -> Any:
    """The module inside of ``torch.compile``, ``DistributedDataParallel`` and ``DataParallel``."""
    while True:
        if isinstance(model, DataParallel | DistributedDataParallel):
            model = model.module
        elif hasattr(model, "_orig_mod"):  # of `torch.compile`, whose class is private
            model = model.get_submodule("_orig_mod")
        else:
            return model


def class_of(module: nn.Module) -> type:
    """The class of a module, or the one it had before ``fully_shard``."""
    return next(kind for kind in type(module).__mro__ if not issubclass(kind, FSDPModule))


def is_sharded(values: Iterable[Tensor]) -> bool:
    """Whether any of the tensors is in parts, over several processes."""
    return any(isinstance(value, DTensor) for value in values)


def whole(value: Tensor) -> Tensor:
    """A tensor, put together of all processes' parts where it is sharded; all must call this."""
    return value.full_tensor() if isinstance(value, DTensor) else value
