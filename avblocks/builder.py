"""The record that a builder leaves on the model it returns, from which the model is rebuilt."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from torch import nn

P = ParamSpec("P")
M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True)
class Built:
    """Name of a builder, and its arguments by name, defaults included, modules left out."""

    builder: str
    arguments: Mapping[str, Any]


def builder(function: Callable[P, M]) -> Callable[P, M]:
    """Make a function record its call as the attribute ``built`` of the model it returns."""

    @wraps(function)
    def build(*args: P.args, **kwargs: P.kwargs) -> M:
        model = function(*args, **kwargs)
        call = inspect.signature(function).bind(*args, **kwargs)
        call.apply_defaults()
        given = {k: v for k, v in call.arguments.items() if not isinstance(v, nn.Module)}
        arguments = {name: _frozen(value) for name, value in given.items()}
        vars(model)["built"] = Built(function.__name__, arguments)
        return model

    return build


def _frozen(value: Any) -> Any:
    """A tuple of a list or a set, which the caller may change later."""
    return (
        tuple(sorted(value) if isinstance(value, set) else value)
        if isinstance(value, list | set | frozenset)
        else value
    )
