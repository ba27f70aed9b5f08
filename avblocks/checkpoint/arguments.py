"""What the builders were called with: from a model to JSON, and back to a model without memory."""

import math
import reprlib
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from avblocks.build import av_mae, av_vit
from avblocks.builder import Built
from avblocks.heads import Localizer, classifier, segmenter, separator
from avblocks.nn.position import SinCosPosition

Sections = Mapping[str, Mapping[str, Any]]
"""``{"builder": ..., "arguments": {...}}`` by part: ``encoder``, and ``mae`` or ``head``."""

_BUILDERS: dict[str, dict[str, Callable[..., nn.Module]]] = {
    "encoder": {"av_vit": av_vit},
    "mae": {"av_mae": av_mae},
    "head": {f.__name__: f for f in (classifier, Localizer, segmenter, separator)},
}
# Building takes time even without memory, so the parts of a model are few.
_MOST, _MOST_PARTS = 2**20, 2**7
# Fixed positions are computed for each patch, whatever the size of the file.
_MOST_PATCHES = 2**16
_NOT_OF_THE_MODEL = ("built", "training", "checkpointing")
_REMEDY = (
    "save one that you composed yourself with safetensors.torch.save_file(model.state_dict(), "
    "FILE), build it in your own code, and fill it with load_weights(model, read_state(FILE), "
    "strict=True)"
)


def sections_of(parts: Mapping[str, nn.Module]) -> Sections:
    """The calls with which the builders make these parts.

    Args:
        parts: modules by section: ``encoder``, and ``mae`` or ``head``.

    Raises:
        ValueError: naming what a builder did not build, or builds differently.
    """
    sections: dict[str, Any] = {}
    for part, module in parts.items():
        built = getattr(module, "built", None)
        if not isinstance(built, Built):
            problem = f"none of them made the {part}, a {type(module).__name__}"
            raise ValueError(f"the builders build no such model: {problem}; {_REMEDY}")
        sections[part] = {"builder": built.builder, "arguments": dict(built.arguments)}
    check_sections(sections)
    if found := difference(assembled(parts), build_on_meta(sections)):
        raise ValueError(f"the builders build no such model: {found}; {_REMEDY}")
    return sections


def difference(model: nn.Module, twin: nn.Module) -> str:
    """Name the first difference in the classes, numbers and shapes of two models' parts, if any."""
    own, theirs = _facts(model), _facts(twin)
    for name in own | theirs:
        if own.get(name) != theirs.get(name):
            return f"{name} is {own.get(name, 'missing')}, theirs {theirs.get(name, 'missing')}"
    return ""


def _facts(model: nn.Module) -> dict[str, str]:
    facts = {}
    for path, module in model.named_modules():
        name = path or "it"
        facts[name] = f"a {type(module).__module__}.{type(module).__qualname__}"
        for key, value in vars(module).items():
            if not key.startswith("_") and key not in _NOT_OF_THE_MODEL:
                facts[f"{name}.{key}"] = repr(value)
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        facts[f"the shape of {name}"] = str(tuple(tensor.shape))
    return facts


def assembled(parts: Mapping[str, nn.Module]) -> nn.Module:
    """One module of the parts, whose state has the names that are saved."""
    if "head" in parts:
        return nn.ModuleDict({name: parts[name] for name in ("encoder", "head")})
    return parts.get("mae", parts["encoder"])


def build_on_meta(sections: Sections) -> nn.Module:
    """Build what `assembled` makes of the sections' parts, on the meta device.

    Raises:
        ValueError: if a builder refuses its arguments, or there are too many patches.
    """
    parts: dict[str, nn.Module] = {}
    try:
        for part, section in sections.items():
            values = section["arguments"].items()
            arguments = {name: tuple(v) if isinstance(v, list) else v for name, v in values}
            if part == "mae":
                arguments["encoder"] = parts["encoder"]
            with torch.device("meta"):
                parts[part] = _BUILDERS[part][section["builder"]](**arguments)
    except (TypeError, ValueError, RuntimeError) as error:
        first, _, _ = str(error).partition("\n")
        raise ValueError(f"no such model: {first:.200}") from error
    model = assembled(parts)
    for name, module in model.named_modules():
        if isinstance(module, SinCosPosition) and math.prod(module.grid) > _MOST_PATCHES:
            raise ValueError(f"{name}: {module.grid} has more than {_MOST_PATCHES} patches")
    return model


def check_sections(sections: Mapping[str, Any]) -> None:
    """Check that the sections name builders, and no argument is monstrous; builders check the rest.

    Raises:
        ValueError: naming what is missing, unknown or too large.
    """
    if "encoder" not in sections:
        raise ValueError("it lacks 'encoder'")
    for part, section in sections.items():
        if part not in _BUILDERS:
            raise ValueError(f"unknown {reprlib.repr(part)}")
        known = tuple(_BUILDERS[part])
        if not isinstance(section, dict) or section.get("builder") not in known:
            raise ValueError(f"{part} must have a builder of {known}, got {reprlib.repr(section)}")
        arguments = section.get("arguments")
        if not isinstance(arguments, dict):
            raise ValueError(f"{part} must hold arguments, got {reprlib.repr(arguments)}")
        for name, value in arguments.items():
            _check_value(f"{section['builder']}.{name}", value)


def _check_value(name: str, value: Any) -> None:
    most = _MOST_PARTS if name.endswith(".depth") else _MOST
    if isinstance(value, list | tuple):
        fits = len(value) <= _MOST_PARTS and all(type(n) is int and 0 <= n <= most for n in value)
    elif type(value) in (int, float):
        fits = 0 <= value <= most
    else:
        fits = value is None or isinstance(value, bool | str)
    if not fits:
        raise ValueError(f"{name} must be of numbers from 0 to {most}, got {reprlib.repr(value)}")
