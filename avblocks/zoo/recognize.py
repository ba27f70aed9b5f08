"""The kind of a file, and the sizes of its model."""

from inspect import signature
from pathlib import Path
from typing import Any

from avblocks.builder import accepted
from avblocks.checkpoint.read import State, read_state
from avblocks.zoo.config import config_sizes
from avblocks.zoo.table import KINDS, Kind

_OURS = ("avblocks", "avblocks_joint")
_PREFIXES = ("backbone.", "encoder.", "model.", "net.")


def kind_of(state: State) -> Kind | None:
    """Recognize the kind of a file from its names and inputs; ``None`` if it is unknown.

    Example:
        >>> import torch
        >>> print(kind_of({"fc.weight": torch.ones(1)}))
        None
    """
    state = inner_state(state)
    return next((kind for kind in KINDS if kind.fits(state)), None)


def inner_state(state: State, prefix: str = "") -> State:
    """Return the tensors whose names begin with a prefix, without it.

    A usual prefix that all of them have in common is removed too.

    Example:
        >>> import torch
        >>> list(inner_state({"net.backbone.cls_token": torch.ones(1)}))
        ['cls_token']
    """
    state = {n.removeprefix(prefix): x for n, x in state.items() if n.startswith(prefix)}
    ours = [kind for kind in KINDS if kind.name in _OURS]
    while state and not any(kind.fits(state) for kind in ours):
        usual = next((p for p in _PREFIXES if all(n.startswith(p) for n in state)), None)
        if usual is None:
            break
        state = {name.removeprefix(usual): x for name, x in state.items()}
    return state


def sizes_of(path: Path) -> dict[str, Any]:
    """Return the arguments of the builder for a file; none if it is of no known kind.

    Raises:
        ValueError: if the file is damaged, or an argument must be given.
        KeyError: if a tensor of its kind is missing.
    """
    state = inner_state(read_state(path))
    kind = kind_of(state)
    if kind is None:
        return {}
    return kind.sizes(state, **accepted(kind.sizes, **stated(kind, path)))


def stated(kind: Kind, path: Path) -> dict[str, Any]:
    """Return the numbers beside a file that its builder, or its sizes, has parameters for."""
    names = {*signature(kind.sizes).parameters, *signature(kind.build).parameters}
    return {name: value for name, value in config_sizes(path).items() if name in names}
