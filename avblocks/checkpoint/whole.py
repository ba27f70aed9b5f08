"""Models out of what they are wrapped in to be compiled, replicated or sharded."""

from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn
from torch.nn.parallel import DataParallel, DistributedDataParallel

_SHARDED = "torch.distributed.fsdp"  # by name: it takes seconds to import


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
    return next(k for k in type(module).__mro__ if not k.__module__.startswith(_SHARDED))


def is_sharded(values: Iterable[Tensor]) -> bool:
    """Whether any of the tensors is in parts, over several processes."""
    return any(hasattr(value, "full_tensor") for value in values)


def whole(value: Tensor) -> Tensor:
    """A tensor, put together of all processes' parts where it is sharded; all must call this."""
    return getattr(value, "full_tensor", lambda: value)()
