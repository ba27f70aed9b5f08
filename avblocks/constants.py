"""Constant buffers of modules, which are not in the state dict: computed, and computed again."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol, cast

import torch
from torch import Tensor, nn


class _HasConstants(Protocol):
    def reset_parameters(self) -> None: ...


def in_memory() -> AbstractContextManager[object]:
    """Return a context in which tensors are on the CPU if the default device is "meta"."""
    on_meta = torch.get_default_device().type == "meta"
    return torch.device("cpu") if on_meta else nullcontext()


def fill_constants(module: nn.Module, compute: Callable[[], dict[str, Tensor]]) -> None:
    """Compute constants of a module, and register buffers of their names or fill those there are.

    Call this in ``__init__`` and in ``reset_parameters``. Loading of weights calls the latter: a
    model that was built on "meta", or emptied by ``to_empty``, has constants again.

    Args:
        module: the module.
        compute: returns its constants by name.
    """
    with in_memory():
        values = compute()
    for name, value in values.items():
        own = getattr(module, name, None)
        if own is None:
            module.register_buffer(name, value, persistent=False)
        elif own.is_meta:
            setattr(module, name, value.to(own.dtype))
        else:
            own.copy_(value)


def refill_on_load(module: nn.Module) -> None:
    """Let ``load_state_dict`` of a module, or of its parent, call its ``reset_parameters``."""
    module.register_load_state_dict_pre_hook(_refill)


def _refill(module: nn.Module, *_: object) -> None:
    cast(_HasConstants, module).reset_parameters()
