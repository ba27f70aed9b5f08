"""Save models to a folder of weights and JSON, and load them without any model code."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from avblocks.build import av_mae, av_vit
from avblocks.builder import Built
from avblocks.checkpoint.folder import read_config, write
from avblocks.checkpoint.load import check_finite
from avblocks.checkpoint.read import read_state
from avblocks.checkpoint.whole import class_of, is_sharded, unwrapped, whole
from avblocks.data import ClipFormat, FrontEnd
from avblocks.distributed import rank_and_world
from avblocks.heads import Localizer, classifier, segmenter, separator
from avblocks.mae import AVMAE
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


@dataclass(frozen=True)
class Pretrained:
    """The content of a folder written by `save_pretrained`.

    Attributes:
        encoder: the encoder on the CPU, in evaluation mode, with the saved data type.
        front_end: the front end of the encoder, if it was saved.
        head: the head in evaluation mode, if it was saved.
        task: values about the task, such as the names of the classes.
    """

    encoder: Any  # an AVEncoder, or of some of the zoo a stream
    front_end: FrontEnd | None = None
    head: nn.Module | None = None
    task: Mapping[str, Any] = field(default_factory=dict)


def save_pretrained(
    model: nn.Module,
    folder: str | Path,
    *,
    front_end: FrontEnd | None = None,
    head: nn.Module | None = None,
    task: Mapping[str, Any] | None = None,
) -> None:
    """Save a model made by a builder of avblocks, as ``model.safetensors`` and ``config.json``.

    The recorded arguments (``model.built``) are verified: a model built from them must equal this
    one part by part. Training mode, device and activation checkpointing are not saved.

    Args:
        model: an encoder of `av_vit`, or an autoencoder with its decoders of `av_mae`; also wrapped
            by ``torch.compile`` or DDP, or sharded by ``fully_shard``: then all processes must call
            this, and process 0 writes.
        folder: output folder; an earlier save in it is replaced.
        front_end: the front end of the encoder; its `ClipFormat` is saved.
        head: the head of the encoder: a `classifier`, `Localizer`, `segmenter` or `separator`.
        task: a few JSON values about the task, such as the names of the classes.

    Raises:
        ValueError: if no builder builds such a model, it has several data types, or a weight is
            not finite.
        TypeError: if a value of ``task`` cannot be stored as JSON.
        OSError: if the folder contains other files of these names, or cannot be written.
    """
    model, head = unwrapped(model), None if head is None else unwrapped(head)
    both = model if head is None else nn.ModuleDict({"encoder": model, "head": head})
    mae = isinstance(model, AVMAE)
    parts = {"encoder": model.encoder, "mae": model} if mae else {"encoder": model}
    parts |= {"head": head} if head is not None else {}
    config: dict[str, Any] = {}
    for name, part in parts.items():
        config[name] = vars(getattr(part, "built", Built(type(part).__name__, {})))
    _require_no_class(config)
    config |= {"clip_format": front_end.format.to_dict()} if front_end is not None else {}
    config |= {"task": dict(task)} if task is not None else {}
    try:
        _require_same(both, _with_positions(build_on_meta(config)))
        if front_end is not None:
            _require_same(front_end, FrontEnd(front_end.format))
    except (ValueError, RuntimeError) as error:
        raise ValueError(
            f"the builders build no such model: {error}; save one that you composed by "
            "safetensors.torch.save_file(model.state_dict(), FILE), and fill it by "
            "load_weights(model, read_state(FILE), strict=True)"
        ) from error
    sharded, tensors = is_sharded(both.parameters()), both.state_dict().items()
    state = {name: whole(value.detach()).cpu().contiguous() for name, value in tensors}
    check_finite(state)
    if not sharded or rank_and_world()[0] == 0:
        write(Path(folder), state=state, config=config)


def from_pretrained(folder: str | Path) -> Pretrained:
    """Load a folder written by `save_pretrained`; of an autoencoder, only the encoder.

    The state of the random number generator does not change.

    Raises:
        ValueError: if it is missing, damaged, or not by `save_pretrained`.
    """
    config, model = _load(Path(folder))
    clips = config.get("clip_format")
    return Pretrained(
        encoder=model if config.keys().isdisjoint(("mae", "head")) else model.encoder,
        front_end=FrontEnd(ClipFormat.from_dict(clips)) if clips else None,
        head=model["head"] if isinstance(model, nn.ModuleDict) else None,
        task=config.get("task", {}),
    )


def mae_from_pretrained(folder: str | Path) -> AVMAE:
    """Load a masked autoencoder with its decoders, see `from_pretrained`.

    Raises:
        ValueError: as in `from_pretrained`, or if the folder contains no decoders.
    """
    _, model = _load(Path(folder))
    if not isinstance(model, AVMAE):
        raise ValueError(f"{folder} holds an encoder without decoders: use from_pretrained")
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
    takes = f"arguments of {ours}; for encoders of the zoo import {_ZOO}"
    require(fits, part, config[part], takes)
    for key, value in arguments.items():
        most = _MOST_PARTS if key == "depth" else _MOST
        values = value if isinstance(value, list | tuple) else [value]
        fits = all(0 <= n <= most for n in values if isinstance(n, int | float))
        fits = fits and len(values) <= _MOST_PARTS
        require(fits, f"{name}.{key}", value, f"numbers from 0 to {most}")
    given = {key: tuple(v) if isinstance(v, list) else v for key, v in arguments.items()}
    return _BUILDERS[part][name](**given, **more)


def _require_same(model: nn.Module, twin: nn.Module) -> None:
    """Raise if classes, attributes or shapes differ from the twin's, or values it has in memory."""
    twin.to(next(value.dtype for value in (*model.parameters(), *model.buffers())))
    own, theirs = _facts(model), _facts(twin)
    for name in own | theirs:
        if own.get(name) != theirs.get(name):
            raise ValueError(f"{name} is {own.get(name)}, theirs {theirs.get(name)}")
    for (name, value), built in zip(model.named_buffers(), twin.buffers(), strict=True):
        if not (built.is_meta or torch.allclose(value.cpu(), built, rtol=0, atol=1e-6)):
            raise ValueError(f"{name} has other values: rounded ones need reset_parameters()")


def _facts(model: nn.Module) -> dict[str, Any]:
    """Return the shapes, data types, classes and plain attributes of a model by name."""
    tensors = (*model.named_parameters(), *model.named_buffers())
    facts: dict[str, Any] = {f"the shape of {n}": (*t.shape, t.dtype) for n, t in tensors}
    for path, module in model.named_modules():
        facts[path] = class_of(module)
        for key, value in vars(module).items():
            if not key.startswith("_") and key not in ("built", "training", "checkpointing"):
                facts[f"{path}.{key}"] = repr(value)
    return facts


def _require_grids(model: nn.Module) -> None:
    for name, module in model.named_modules():
        if isinstance(module, SinCosPosition):
            fits = math.prod(module.grid) <= _MOST_PATCHES
            require(fits, name, module.grid, f"a grid of at most {_MOST_PATCHES} patches")


def _require_no_class(config: Mapping[str, Any]) -> None:
    """Raise if a part is of a user's class, which cannot be built by name."""
    for section in config.values():
        for name, value in section["arguments"].items():
            if callable(value):
                raise ValueError(
                    f"{name}={getattr(value, '__name__', value)} is not a class of avblocks, so "
                    "from_pretrained could not build it: save the weights by "
                    "safetensors.torch.save_file(model.state_dict(), FILE), and fill a model that "
                    "you build by load_weights(model, read_state(FILE), strict=True)"
                )


def _with_positions(model: nn.Module) -> nn.Module:
    """Compute the fixed positions of a model, which are not in the file."""
    for module in model.modules():
        if isinstance(module, SinCosPosition):
            module.to_empty(device="cpu").reset_parameters()
    return model


def _load(folder: Path) -> tuple[Mapping[str, Any], nn.Module]:
    """Load the configuration and the model of a folder."""
    config, state = read_config(folder), read_state(folder)
    try:
        formats = {value.dtype for value in state.values()} - {torch.int64}
        require(len(formats) == 1, "weights", formats, "of one number format")
        check_finite(state)
        model = build_on_meta(config).to(formats.pop())
        model.load_state_dict(state, assign=True)  # compares names and shapes, copies nothing
        model.load_state_dict({name: v.clone() for name, v in state.items()}, assign=True)
        return config, model.eval()
    except (TypeError, ValueError, RuntimeError) as error:
        what = " ".join(str(error).split())
        raise ValueError(f"{folder}: {what:.300}; save or download it again") from error
