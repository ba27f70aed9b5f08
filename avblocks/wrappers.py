"""Names of modules inside wrappers: of the compiler, FSDP, activation checkpointing, Fabric."""

import re
from collections.abc import Iterator

from torch import nn

_WRAPPED = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_forward_module")
_INSERTED = re.compile(rf"(?<![^.])({'|'.join(_WRAPPED)})\.")


def without_inserted(name: str) -> str:
    """Return the name of a parameter without what wrappers of modules insert, at any depth.

    >>> without_inserted("blocks.0._orig_mod.norm1.weight")
    'blocks.0.norm1.weight'
    """
    return _INSERTED.sub("", name)


def inner_module(module: nn.Module) -> nn.Module:
    """Return the module inside wrappers, or itself.

    >>> type(inner_module(nn.ModuleDict({"_orig_mod": nn.ReLU()}))).__name__
    'ReLU'
    """
    inside = next((n for n, _ in module.named_children() if n in _WRAPPED), None)
    return module if inside is None else inner_module(module.get_submodule(inside))


def named_inner_modules(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Iterate over the modules of a model by their names without wrappers, which are left out.

    >>> model = nn.Sequential(nn.ModuleDict({"_orig_mod": nn.ReLU()}))
    >>> [name for name, _ in named_inner_modules(model)]
    ['', '0']
    """
    for name, module in model.named_modules():
        if not any(child in _WRAPPED for child, _ in module.named_children()):
            yield without_inserted(f"{name}.")[:-1], module
