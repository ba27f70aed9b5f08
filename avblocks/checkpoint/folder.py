"""Folder of weights and configuration: atomic writing, and validated reading."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from avblocks.files import fingerprint, replacing, sync
from avblocks.jsonfile import digest

WEIGHTS, CONFIG = "model.safetensors", "config.json"
_FORMAT, _VERSION, _LARGEST_CONFIG = "avblocks", 2, 2**20
_REFUSED = (
    "is missing, damaged, changed by hand, or of another save: save or download the folder again; "
    "recipes.export makes one of a run, checkpoint.hub.HubEncoder.from_pretrained one of the Hub"
)
_ABOUT = ("format", "format_version", "avblocks_version", "numbers_sha256", "weights")


def write(folder: Path, *, state: Mapping[str, Tensor], config: Mapping[str, Any]) -> None:
    """Write both files; a kill leaves the old pair, the new pair, or a pair that is refused."""
    about = {"format": _FORMAT, "format_version": _VERSION, "numbers_sha256": digest(config)}
    taken = [name for name in (CONFIG, WEIGHTS) if (folder / name).exists()]
    if taken and not is_ours(folder):
        raise FileExistsError(
            f"{folder} holds a {taken[0]} of something else, such as a run: save in another folder"
        )
    try:
        # The configuration is renamed first: weights without it would be accepted as foreign.
        with replacing(folder / WEIGHTS) as weights, replacing(folder / CONFIG) as half:
            save_file(_apart(state), weights)
            sync(weights)
            text = json.dumps({**about, **config, "weights": fingerprint(weights)}, indent=2)
            if len(text) >= _LARGEST_CONFIG:
                raise ValueError(f"{CONFIG} would have {len(text)} bytes, of {_LARGEST_CONFIG}")
            half.write_text(text + "\n", encoding="utf-8")
            weights.chmod(half.stat().st_mode)  # safetensors writes files that only the owner reads
    except (OSError, SafetensorError) as error:
        raise OSError(f"{folder} cannot be written: {error}") from error


def _apart(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copy tensors that share memory (tied weights), which safetensors refuses."""
    apart, seen = {}, set[int]()
    for name, value in state.items():
        memory = value.untyped_storage().data_ptr()
        apart[name] = value.clone() if memory in seen else value
        seen.add(memory)
    return apart


def read_config(folder: str | Path) -> dict[str, Any]:
    """Read the configuration of a folder written by `save_pretrained`.

    Returns:
        ``encoder`` and, if saved, ``mae``, ``head``, ``clip_format`` and ``task``. Each part of the
        model is a mapping of its ``builder`` and its ``arguments``.

    Raises:
        ValueError: if it is missing, damaged, of a later format, or not written by
            `save_pretrained`.
    """
    if Path(folder).is_file():
        raise ValueError(f"{folder} is a file: give a folder that save_pretrained wrote")
    path, facts = Path(folder) / CONFIG, _facts(Path(folder))
    config = {name: value for name, value in facts.items() if name not in _ABOUT}
    version, ours = facts.get("format_version"), facts.get("format") == _FORMAT
    if ours and isinstance(version, int) and version > _VERSION:
        raise ValueError(f"{path} is of a later format: install a later version of avblocks")
    whole = version in (1, _VERSION) and facts.get("numbers_sha256") == digest(config)
    if not (ours and whole) or (version == 1 and "av_vit" not in config):
        raise ValueError(f"{path} {_REFUSED}")
    if version == 1:  # its sections are named by builder
        names = {"av_vit": "encoder", "av_mae": "mae"}
        return {names[n]: {"builder": n, "arguments": config[n]} for n in names if n in config}
    return config


def is_ours(folder: Path) -> bool:
    """Return whether `save_pretrained` wrote the `CONFIG` of a folder."""
    return bool(_facts(folder))


def is_damaged(folder: Path) -> bool:
    """Return whether the `CONFIG` of a folder, by any writer, is unreadable."""
    return (folder / CONFIG).is_file() and _config(folder) is None


def weights_of(folder: Path) -> Path:
    """Return the weights file of a folder, verified if `save_pretrained` wrote the folder."""
    path, damaged, facts = folder / WEIGHTS, is_damaged(folder), _facts(folder)
    if damaged or not path.is_file() or (facts and facts.get("weights") != fingerprint(path)):
        raise ValueError(f"{folder / CONFIG if damaged else path} {_REFUSED}")
    return path


def _facts(folder: Path) -> dict[str, Any]:
    """Return the content of `CONFIG`; empty if it is unreadable, or not by `save_pretrained`."""
    facts = _config(folder)
    ours = facts is not None and (facts.get("format") == _FORMAT or "numbers_sha256" in facts)
    return facts if facts is not None and ours else {}


def _config(folder: Path) -> dict[str, Any] | None:
    """Return the JSON object in `CONFIG`, by any writer; None if it is unreadable."""
    path = folder / CONFIG
    if not path.is_file() or path.stat().st_size > _LARGEST_CONFIG:
        return None
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        return None
    return facts if isinstance(facts, dict) else None
