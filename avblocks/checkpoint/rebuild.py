"""Models built again from the record of their builders' calls."""

import math
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import torch
from torch import nn

from avblocks.build import av_mae, av_vit
from avblocks.data import ClipFormat
from avblocks.heads import Localizer, classifier, segmenter, separator
from avblocks.nn.position import SinCosPosition
from avblocks.shapes import require

_BUILDERS: dict[str, dict[str, Callable[..., nn.Module]]] = {
    "encoder": {"av_vit": av_vit},
    "mae": {"av_mae": av_mae},
    "head": {f.__name__: f for f in (classifier, Localizer, segmenter, separator)},
}
_ZOO = "avblocks.zoo"
# Limits: modules take time to build even on "meta", and positions are computed, not read.
_MOST, _MOST_PARTS, _MOST_PATCHES = 2**20, 2**7, 2**16


def register_encoder(function: Callable[..., nn.Module]) -> None:
    """Register a builder of encoders by its name, so that its encoders can be loaded."""
    _BUILDERS["encoder"][function.__name__] = function


def _register(name: object) -> None:
    """Import the zoo, which registers its builders, if a builder may be one of them."""
    if name not in _BUILDERS["encoder"]:
        import_module(_ZOO)


def build_encoder(record: Mapping[str, Any]) -> nn.Module:
    """Build an encoder, or a stream of the zoo, from ``{"builder": ..., "arguments": ...}``.

    Raises:
        ValueError: if the builder is unknown, a number is too large, or it rejects its arguments.
    """
    _register(record.get("builder"))
    model = _build("encoder", {"encoder": record})
    _require_grids(model)
    return model


def build_on_meta(config: Mapping[str, Any]) -> nn.Module:
    """Build the encoder, the autoencoder, or an ``nn.ModuleDict`` of encoder and head.

    Raises:
        ValueError: if a name is unknown, a number is too large, or a builder rejects its arguments.
    """
    parts = config.keys() - {"clip_format", "task"}
    fits = parts in ({"encoder"}, {"encoder", "mae"}, {"encoder", "head"})
    fits = fits and all(isinstance(section, dict) for section in config.values())
    try:
        require(fits, "it", config, "an encoder with mae or head, each of named values")
        _register(config["encoder"].get("builder"))
        if "clip_format" in config:
            ClipFormat.from_dict(config["clip_format"])
        with torch.device("meta"):
            model = _build("encoder", config)
            if "mae" in config:
                model = _build("mae", config, encoder=model)
            if "head" in config:
                model = nn.ModuleDict({"encoder": model, "head": _build("head", config)})
        _require_grids(model)
        return model
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"no such model: {str(error).splitlines()[0]:.200}") from error


def _build(part: str, config: Mapping[str, Any], **more: nn.Module) -> nn.Module:
    """Build a part from the builder and the arguments in its section."""
    name, arguments = (config[part].get(key) for key in ("builder", "arguments"))
    fits = name in _BUILDERS[part] and isinstance(arguments, dict)
    ours = tuple(n for n, f in _BUILDERS[part].items() if not f.__module__.startswith(_ZOO))
    takes = f"arguments of {ours}, or of a builder of {_ZOO}"
    require(fits, part, config[part], takes)
    for key, value in arguments.items():
        most = _MOST_PARTS if key == "depth" else _MOST
        values = value if isinstance(value, list | tuple) else [value]
        fits = all(0 <= n <= most for n in values if isinstance(n, int | float))
        fits = fits and len(values) <= _MOST_PARTS
        require(fits, f"{name}.{key}", value, f"numbers from 0 to {most}")
    given = {key: tuple(v) if isinstance(v, list) else v for key, v in arguments.items()}
    return _BUILDERS[part][name](**given, **more)


def _require_grids(model: nn.Module) -> None:
    for name, module in model.named_modules():
        if isinstance(module, SinCosPosition):
            fits = math.prod(module.grid) <= _MOST_PATCHES
            require(fits, name, module.grid, f"a grid of at most {_MOST_PATCHES} patches")


def with_positions(model: nn.Module) -> nn.Module:
    """Compute the fixed positions of a model, which are not in the file."""
    for module in model.modules():
        if isinstance(module, SinCosPosition):
            module.to_empty(device="cpu").reset_parameters()
    return model
