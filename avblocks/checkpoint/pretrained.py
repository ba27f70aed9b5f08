"""Save models to a folder of weights and JSON, and load them without any model code."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from avblocks.builder import Built
from avblocks.checkpoint.checks import check_finite
from avblocks.checkpoint.folder import read_config, write
from avblocks.checkpoint.read import read_state
from avblocks.checkpoint.rebuild import build_on_meta, with_positions
from avblocks.checkpoint.whole import class_of, is_sharded, unwrapped, whole
from avblocks.data import ClipFormat, FrontEnd
from avblocks.distributed import rank_and_world
from avblocks.mae import AVMAE
from avblocks.shapes import require
from avblocks.wrappers import named_inner_modules, without_inserted


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
    one part by part. Training mode, device, activation checkpointing and the color changes of the
    front end in training are not saved.

    Args:
        model: an encoder of `av_vit`, or an autoencoder with its decoders of `av_mae`; it or its
            modules may be wrapped by ``torch.compile``, DDP or activation checkpointing, or sharded
            by ``fully_shard``: then all processes must call this, and process 0 writes.
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
        _require_same(both, with_positions(build_on_meta(config)))
        if front_end is not None:
            _require_same(front_end, FrontEnd(front_end.format, color=front_end.color))
    except (ValueError, RuntimeError) as error:
        raise ValueError(
            f"the builders build no such model: {error}; save one that you composed by "
            "safetensors.torch.save_file(model.state_dict(), FILE), and fill it by "
            "load_weights(model, read_state(FILE), strict=True)"
        ) from error
    sharded, tensors = is_sharded(both.parameters()), both.state_dict().items()
    state = {without_inserted(n): whole(x.detach()).cpu().contiguous() for n, x in tensors}
    check_finite(state)
    if not sharded or rank_and_world()[0] == 0:
        write(Path(folder), state=state, config=config)


def from_pretrained(folder: str | Path) -> Pretrained:
    """Load a folder written by `save_pretrained`; of an autoencoder, only the encoder.

    The state of the random number generator does not change.

    Raises:
        ValueError: if it is missing, damaged, or not written by `save_pretrained`.
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
    facts: dict[str, Any] = {
        f"the shape of {without_inserted(n)}": (*t.shape, t.dtype) for n, t in tensors
    }
    for path, module in named_inner_modules(model):
        facts[path] = class_of(module)
        for key, value in vars(module).items():
            if not key.startswith("_") and key not in ("built", "training", "checkpointing"):
                facts[f"{path}.{key}"] = repr(value)
    return facts


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
