"""Builders of models that record their arguments, so that a model can be rebuilt."""

import inspect
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import torch
from torch import nn

P = ParamSpec("P")
M = TypeVar("M", bound=nn.Module)
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Built:
    """Name of a builder, and its arguments by name, including defaults.

    Arguments that are modules are excluded, and so are device and data type, which may change.
    """

    builder: str
    arguments: Mapping[str, Any]


def builder(function: Callable[P, M]) -> Callable[P, M]:
    """Decorate a function to record its call as the attribute ``built`` of the returned model.

    The decorator also implements the arguments ``device`` and ``dtype`` of the function, if it has
    them: the model is built on the device, which may be ``"meta"``, and initialized in the default
    data type, then converted.
    """
    signature = inspect.signature(function)

    @wraps(function)
    def build(*args: P.args, **kwargs: P.kwargs) -> M:
        device: Any = kwargs.get("device")
        dtype: Any = kwargs.get("dtype")
        with nullcontext() if device is None else torch.device(device):
            model = function(*args, **kwargs)
        model = model if dtype is None else model.to(dtype)
        call = signature.bind(*args, **kwargs)
        call.apply_defaults()
        arguments = {
            name: _frozen(value)
            for name, value in call.arguments.items()
            if not isinstance(value, nn.Module) and name not in ("device", "dtype")
        }
        vars(model)["built"] = Built(function.__name__, arguments)
        return model

    return build


def options_of(general: Callable[..., Any]) -> Callable[[F], F]:
    """Add the parameters of a general builder to the signature of a wrapper function."""

    def decorate(function: F) -> F:
        own = inspect.signature(function)
        kept = [p for p in own.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
        theirs = inspect.signature(general).parameters.values()
        kept += [p for p in theirs if p.kind is p.KEYWORD_ONLY and p.name not in own.parameters]
        vars(function)["__signature__"] = own.replace(parameters=kept)
        return function

    return decorate


def accepted(function: Callable[..., Any], **offered: Any) -> dict[str, Any]:
    """Return those of the offered arguments that a function takes."""
    takes = inspect.signature(function).parameters.values()
    names = {p.name for p in takes}
    everything = any(p.kind is p.VAR_KEYWORD for p in takes)
    return {name: value for name, value in offered.items() if everything or name in names}


def _frozen(value: Any) -> Any:
    """Copy a list or a set, which the caller may change later, to a tuple."""
    return (
        tuple(sorted(value) if isinstance(value, set) else value)
        if isinstance(value, list | set | frozenset)
        else value
    )
