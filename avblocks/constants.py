"""Constant buffers of modules: computed, and computed again where weights are loaded."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn


def in_memory() -> AbstractContextManager[object]:
    """Return a context in which tensors are on the CPU if the default device is "meta"."""
    on_meta = torch.get_default_device().type == "meta"
    return torch.device("cpu") if on_meta else nullcontext()


class HasConstants(nn.Module):
    """A module with buffers that are computed and not learned.

    Loading of weights, also into its parent, computes them again: a model that was built on "meta",
    or emptied by ``to_empty``, has constants again. A subclass has `constants`, and calls
    `reset_parameters` at the end of its ``__init__``; or it has a `reset_parameters` of its own for
    those of a module within it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.register_load_state_dict_pre_hook(_refill)

    def constants(self) -> dict[str, Tensor]:
        """Compute the constants by name."""
        raise NotImplementedError

    def reset_parameters(self) -> None:
        """Compute the constants, for a module that was built on the meta device."""
        with in_memory():
            values = self.constants()
        for name, value in values.items():
            own = getattr(self, name, None)
            if own is None:
                self.register_buffer(name, value, persistent=False)
            elif own.is_meta:
                setattr(self, name, value.to(own.dtype))
            else:
                own.copy_(value)


class GivenConstant(HasConstants):
    """A constant that was given by value, as buffer `value`; a copy is kept on the host.

    Args:
        value: The constant.

    Raises:
        ValueError: If it is on the device "meta", and so has no values.
    """

    value: Tensor

    def __init__(self, value: Tensor) -> None:
        super().__init__()
        if value.is_meta:
            raise ValueError("a constant on the device meta has no values: give it on the CPU")
        self._given = (value.detach().cpu().clone(),)  # in a tuple, so that no device moves it
        self.reset_parameters()
        self.value = self.value.to(value.device)

    @property
    def given(self) -> Tensor:
        """The constant as it was given, on the CPU."""
        return self._given[0]

    def constants(self) -> dict[str, Tensor]:
        """The constant, under the name of its buffer."""
        return {"value": self._given[0].clone()}


def _refill(module: nn.Module, *_: object) -> None:
    assert isinstance(module, HasConstants)
    module.reset_parameters()
