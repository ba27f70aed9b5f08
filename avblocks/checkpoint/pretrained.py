"""Models saved to a folder of weights and JSON, and loaded from it without code of one's own."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from avblocks.checkpoint import folder as folders
from avblocks.checkpoint.arguments import assembled, check_sections, difference, sections_of
from avblocks.checkpoint.read import State
from avblocks.checkpoint.weights import load_model, state_of
from avblocks.data import ClipFormat, FrontEnd
from avblocks.encoder import AVEncoder
from avblocks.mae import AVMAE
from avblocks.shapes import require

# The mel filters, frequencies by bins, are computed whatever the size of the file.
_MOST_FILTERS = 2**24


@dataclass(frozen=True)
class Pretrained:
    """The contents of a folder that `save_pretrained` wrote.

    Attributes:
        encoder: on the CPU, in evaluation mode, in the number format it was saved in.
        front_end: makes the encoder's inputs of clips, if it was saved.
        head: in evaluation mode, if it was saved.
        task: what the head is for, and the names of its classes.
    """

    encoder: AVEncoder
    front_end: FrontEnd | None = None
    head: nn.Module | None = None
    task: Mapping[str, Any] = field(default_factory=dict)


def save_pretrained(
    model: AVEncoder | AVMAE,
    folder: str | Path,
    *,
    front_end: FrontEnd | None = None,
    head: nn.Module | None = None,
    task: Mapping[str, Any] | None = None,
) -> None:
    """Save a model that our builders built, as ``model.safetensors`` and ``config.json``.

    The arguments are those that the builders recorded (``model.built``); a model built from them is
    compared with this one part by part. Whether the model trains, is on a GPU or saves memory by
    checkpointing is not saved.

    Args:
        model: the encoder, of `av_vit`, or the autoencoder with its decoders, of `av_mae`; of one
            number format.
        folder: replaces what an earlier save left there.
        front_end: makes the encoder's inputs; its `ClipFormat` is saved.
        head: stands on the encoder: a `classifier`, `Localizer`, `segmenter` or `separator`.
        task: a few values for JSON, such as the names of the classes.

    Raises:
        ValueError: if the builders do not build such a model; then, and if it cannot be written,
            the folder is unchanged.
        OSError: if the folder is a file, holds a ``config.json`` or weights of something else, or
            cannot be written.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from avblocks import av_vit
        >>> encoder = av_vit(8, depth=1, num_heads=2, patch=4, image_size=8, audio_size=(8, 12))
        >>> with TemporaryDirectory() as folder:
        ...     save_pretrained(encoder, folder)
        ...     again = from_pretrained(folder).encoder
        >>> again.fusion_tokens.equal(encoder.fusion_tokens)
        True
    """
    folders.check_free(Path(folder))
    sections, state = contents(model, front_end=front_end, head=head, task=task)
    folders.write(Path(folder), state=state, sections=sections)


def contents(
    model: AVEncoder | AVMAE,
    *,
    front_end: FrontEnd | None = None,
    head: nn.Module | None = None,
    task: Mapping[str, Any] | None = None,
) -> tuple[Mapping[str, Any], State]:
    """The configuration and the weights that `save_pretrained` writes.

    Raises:
        ValueError: as in `save_pretrained`.
    """
    parts: dict[str, nn.Module] = {"encoder": model}
    if isinstance(model, AVMAE):
        require(head is None, "head", head, "None with an autoencoder: save its encoder")
        parts = {"encoder": model.encoder, "mae": model}
    elif head is not None:
        parts["head"] = head
    sections: dict[str, Any] = dict(sections_of(parts))
    if front_end is not None:
        _check_front_end(front_end)
        sections["clip_format"] = front_end.format.to_dict()
    if task is not None:
        sections["task"] = dict(task)
    try:
        json.dumps(sections, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"JSON has no such value of the model or its task: {error}") from error
    _check(sections)
    return sections, state_of(assembled(parts))


def _check_front_end(front_end: FrontEnd) -> None:
    twin = FrontEnd(front_end.format)
    found = difference(front_end, twin)
    for (name, own), theirs in zip(front_end.named_buffers(), twin.buffers(), strict=not found):
        if not found and not torch.allclose(own.cpu(), theirs.to(own.dtype), rtol=0, atol=1e-6):
            found = f"{name} has other values"
    if found:
        raise ValueError(
            f"FrontEnd(format) builds no such front end: {found}; save the encoder without it"
        )


def from_pretrained(folder: str | Path) -> Pretrained:
    """Load what `save_pretrained` left in a folder; of an autoencoder the encoder alone.

    Args:
        folder: the folder.

    Returns:
        The encoder, and the front end, the head and the task that were saved with it. The state of
        the random number generator is unchanged.

    Raises:
        OSError: if there is no such folder.
        ValueError: if `save_pretrained` did not write it, or it is incomplete or damaged, or the
            weights are not those of the builders' arguments; nothing is allocated then.
    """
    folder, config = Path(folder), read_config(folder)
    sections = {name: config[name] for name in ("encoder", "head") if name in config}
    prefix = "encoder." if "mae" in config else ""
    model = load_model(folder, sections=sections, prefix=prefix)
    parts = dict(model.named_children()) if "head" in sections else {"encoder": model}
    clip_format = config.get("clip_format")
    return Pretrained(
        encoder=cast(AVEncoder, parts["encoder"]),
        front_end=FrontEnd(ClipFormat.from_dict(clip_format)) if clip_format else None,
        head=parts.get("head"),
        task=config.get("task", {}),
    )


def mae_from_pretrained(folder: str | Path) -> AVMAE:
    """Load the masked autoencoder that `save_pretrained` left in a folder.

    Args:
        folder: the folder.

    Raises:
        OSError: if there is no such folder.
        ValueError: as in `from_pretrained`, or if it holds no decoders.
    """
    folder, config = Path(folder), read_config(folder)
    if "mae" not in config:
        raise ValueError(f"{folder} holds an encoder without decoders: use from_pretrained")
    sections = {name: config[name] for name in ("encoder", "mae")}
    return cast(AVMAE, load_model(folder, sections=sections))


def read_config(folder: str | Path) -> Mapping[str, Any]:
    """Read the configuration of a folder, checked.

    Args:
        folder: where `save_pretrained` left it.

    Returns:
        ``encoder``, and what else was saved of ``mae``, ``head``, ``clip_format`` and ``task``.
        Each part of the model is a mapping of its ``builder`` and its ``arguments``.

    Raises:
        OSError: if there is no such folder.
        ValueError: if `save_pretrained` did not write it, or a value is impossible.
    """
    config = folders.read(Path(folder))
    try:
        _check(config)
    except ValueError as error:
        raise ValueError(
            f"{Path(folder) / folders.CONFIG}: {error}; it was changed by hand, or is of another "
            "version of avblocks: save or download it again"
        ) from error
    return config


def _check(config: Mapping[str, Any]) -> None:
    check_sections({n: value for n, value in config.items() if n not in ("clip_format", "task")})
    for name in ("clip_format", "task"):
        value = config.get(name, {})
        require(isinstance(value, dict), name, value, "values by name")
    if "clip_format" in config:
        clips = ClipFormat.from_dict(config["clip_format"])
        filters = clips.rate // 40 * clips.mels
        require(filters <= _MOST_FILTERS, "clip_format", clips, "of fewer mel filters")
