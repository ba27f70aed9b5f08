"""Under pytest, functions without axes in their signature are checked by beartype alone.

jaxtyping's wrapper binds the arguments of every call, which takes many times as long as beartype.
"""

from collections.abc import Callable
from functools import partial, wraps
from types import FunctionType
from typing import Any

import jaxtyping
from beartype.roar import BeartypeCallHintViolation
from jaxtyping import TypeCheckError, config

Check = Callable[[Callable[..., Any]], Callable[..., Any]]
_with_axes = jaxtyping.jaxtyped


def install() -> None:
    """Replace the decorator that jaxtyping's import hook adds; before `avblocks` is imported."""
    jaxtyping.jaxtyped = _checked


def _checked(thing: Any = None, *, typechecker: Check) -> Any:
    if thing is None:
        return partial(_checked, typechecker=typechecker)
    again = partial(_checked, typechecker=typechecker)
    match thing:
        case FunctionType() if not _has_axes(thing):
            return _without_axes(thing, typechecker(thing))
        case classmethod() | staticmethod():
            return type(thing)(again(thing.__func__))
        case property():
            return property(*(f and again(f) for f in (thing.fget, thing.fset, thing.fdel)))
        case _:
            return _with_axes(thing, typechecker=typechecker)


def _has_axes(function: FunctionType) -> bool:
    """Whether a signature has axes, or a type in quotes, which jaxtyping resolves."""
    kinds = function.__annotations__.values()
    return any(isinstance(kind, str) or "jaxtyping" in str(kind) for kind in kinds)


def _without_axes(plain: Callable[..., Any], checked: Callable[..., Any]) -> Callable[..., Any]:
    """Call the checked function, or the plain one where jaxtyping is switched off."""

    @wraps(plain)
    def call(*args: Any, **options: Any) -> Any:
        if config.jaxtyping_disable:
            return plain(*args, **options)
        try:
            return checked(*args, **options)
        except BeartypeCallHintViolation as error:
            raise TypeCheckError(str(error)) from error

    return call
