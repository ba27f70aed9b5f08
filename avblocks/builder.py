"""Builders: functions from numbers to models, and the record of a call, to rebuild a model from."""

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
    """Name of a builder, and its arguments by name, defaults included.

    Modules are left out, and so are device and number format, which a model may change.
    """

    builder: str
    arguments: Mapping[str, Any]


def builder(function: Callable[P, M]) -> Callable[P, M]:
    """Make a function record its call as the attribute ``built`` of the model it returns.

    Its arguments ``device`` and ``dtype``, if it has them, are seen to here: the model is built on
    the device, ``"meta"`` included, and drawn in the default number format, then converted.
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
    """Show the options that a function hands to a general builder as parameters of its own."""

    def decorate(function: F) -> F:
        own = inspect.signature(function)
        kept = [p for p in own.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
        theirs = inspect.signature(general).parameters.values()
        kept += [p for p in theirs if p.kind is p.KEYWORD_ONLY and p.name not in own.parameters]
        vars(function)["__signature__"] = own.replace(parameters=kept)
        return function

    return decorate


def accepted(function: Callable[..., Any], **offered: Any) -> dict[str, Any]:
    """The arguments that a function takes of those offered."""
    takes = inspect.signature(function).parameters.values()
    names = {p.name for p in takes}
    everything = any(p.kind is p.VAR_KEYWORD for p in takes)
    return {name: value for name, value in offered.items() if everything or name in names}


def _frozen(value: Any) -> Any:
    """A tuple of a list or a set, which the caller may change later."""
    return (
        tuple(sorted(value) if isinstance(value, set) else value)
        if isinstance(value, list | set | frozenset)
        else value
    )
