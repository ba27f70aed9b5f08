"""The record that a builder leaves on the model it returns, from which the model is rebuilt."""

import inspect
from collections.abc import Callable, Collection, Mapping, Set
from dataclasses import dataclass
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from torch import nn

P = ParamSpec("P")
M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True)
class Built:
    """The call that built a model: its attribute ``built``.

    Attributes:
        builder: name of the function, or of the class.
        arguments: arguments by name, defaults included, modules left out.
    """

    builder: str
    arguments: Mapping[str, Any]


def builder(function: Callable[P, M]) -> Callable[P, M]:
    """Make a function record its call as the attribute ``built`` of the model it returns.

    The attribute is neither a parameter nor a buffer; copies and pickles of the model keep it.
    `save_pretrained` writes it in place of the model's code.

    Args:
        function: takes numbers, strings, collections of them, and modules.

    Example:
        >>> @builder
        ... def linear(dim: int, *, bias: bool = True) -> nn.Linear:
        ...     return nn.Linear(dim, dim, bias=bias)
        >>> linear(3).built
        Built(builder='linear', arguments={'dim': 3, 'bias': True})
    """
    signature = inspect.signature(function)

    @wraps(function)
    def build(*args: P.args, **kwargs: P.kwargs) -> M:
        model = function(*args, **kwargs)
        call = signature.bind(*args, **kwargs)
        call.apply_defaults()
        values = {k: v for k, v in call.arguments.items() if not isinstance(v, nn.Module)}
        arguments = {name: _frozen(value) for name, value in values.items()}
        vars(model)["built"] = Built(function.__name__, arguments)
        return model

    return build


def _frozen(value: Any) -> Any:
    """A collection as a tuple, which later changes of a list do not reach."""
    if isinstance(value, str) or not isinstance(value, Collection):
        return value
    return tuple(sorted(value) if isinstance(value, Set) else value)
