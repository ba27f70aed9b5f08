"""A folder of weights and a configuration: written atomically, and read complete or refused."""

import hashlib
import json
import os
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from avblocks.files import fingerprint, replacing, sync

WEIGHTS, CONFIG = "model.safetensors", "config.json"
_FORMAT = 2
_LARGEST_CONFIG = 2**20
_ABOUT = ("format", "format_version", "avblocks_version", "numbers_sha256", "weights")
_AGAIN = "save or download it again"


def write(folder: Path, *, state: Mapping[str, Tensor], sections: Mapping[str, Any]) -> None:
    """Write both files; a kill leaves the old pair, the new one, or one that is refused.

    Args:
        folder: made if needed.
        state: contiguous tensors on the CPU.
        sections: contents of `CONFIG`, besides those about the folder itself.

    Raises:
        OSError: if it cannot be written; the folder is then as before.
        ValueError: if the sections are too long to be read back.
    """
    facts = {
        "format": "avblocks",
        "format_version": _FORMAT,
        "avblocks_version": _version(),
        "numbers_sha256": _digest(sections),
        **sections,
    }
    try:
        _sweep(folder)
        # The configuration is renamed first: weights alone could be anyone's.
        with replacing(folder / WEIGHTS) as weights, replacing(folder / CONFIG) as config:
            save_file(dict(state), weights)
            sync(weights)
            config.write_text(_text(facts | {"weights": fingerprint(weights)}), encoding="utf-8")
            weights.chmod(config.stat().st_mode)  # safetensors writes for its owner alone
    except (OSError, SafetensorError) as error:
        raise OSError(f"{folder} cannot be written: {error}") from error


def _text(facts: Mapping[str, Any]) -> str:
    text = json.dumps(facts, indent=2) + "\n"
    if len(text) > _LARGEST_CONFIG:  # json.dumps writes ASCII
        raise ValueError(f"{CONFIG} would have {len(text)} bytes, more than {_LARGEST_CONFIG}")
    return text


def _sweep(folder: Path) -> None:
    """Remove the temporary files of killed processes, not those of running ones."""
    for name in (CONFIG, WEIGHTS):
        for half in folder.glob(f".{name}.*.tmp"):
            pid = half.name.removeprefix(f".{name}.").removesuffix(".tmp")
            if pid.isdigit() and not _runs(int(pid)):
                half.unlink(missing_ok=True)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)  # sends nothing
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True


def read(folder: Path) -> dict[str, Any]:
    """The sections of a folder's `CONFIG`, without those about the folder itself.

    Raises:
        OSError: if there is no such folder.
        ValueError: if `save_pretrained` did not write it, or it is incomplete, damaged, or of a
            later format.
    """
    if folder.is_file():
        raise NotADirectoryError(f"{folder}: a file; give the folder that it is in")
    if not folder.is_dir():
        raise FileNotFoundError(
            f"{folder}: no such folder; a model on the Hugging Face Hub is loaded by "
            "avblocks.checkpoint.hub.HubEncoder.from_pretrained"
        )
    config = folder / CONFIG
    facts = _facts(folder)
    if facts is None:
        raise ValueError(f"{folder}: no {CONFIG} is in it, as save_pretrained writes it; {_AGAIN}")
    if not is_ours(folder):
        raise ValueError(
            f"{config} is not of save_pretrained; the model of a run's folder is saved by "
            "python -m recipes.export"
        )
    if facts.get("format_version") not in (1, _FORMAT):
        raise ValueError(
            f"{config} is of format {facts.get('format_version')!r}, by avblocks "
            f"{facts.get('avblocks_version')}, and this version reads formats 1 and {_FORMAT}: "
            "install that one"
        )
    sections = {name: value for name, value in facts.items() if name not in _ABOUT}
    if facts.get("numbers_sha256") != _digest(sections):
        raise ValueError(
            f"{config}: other numbers than were saved: damaged, or changed by hand; {_AGAIN}"
        )
    return _upgraded(sections) if facts["format_version"] == 1 else sections


def _upgraded(sections: Mapping[str, Any]) -> dict[str, Any]:
    """The sections of format 1, which were named by builder, in those of this format."""
    names = {"av_vit": "encoder", "av_mae": "mae"}
    return {
        names.get(name, name): {"builder": name, "arguments": values}
        for name, values in sections.items()
    }


def is_ours(folder: Path) -> bool:
    """Whether `save_pretrained` wrote the folder's `CONFIG`."""
    return (_facts(folder) or {}).get("format") == "avblocks"


def weights_of(folder: Path) -> Path:
    """The file of a folder's weights, checked against the folder's `CONFIG` if that is ours.

    Raises:
        IsADirectoryError: if it holds no weights.
        ValueError: if they are damaged, or of another save.
    """
    path = folder / WEIGHTS
    ours = is_ours(folder)
    if not path.is_file() and not ours:
        raise IsADirectoryError(f"{folder}: a folder, not a checkpoint file, and without {WEIGHTS}")
    if not path.is_file():
        raise ValueError(
            f"{folder}: half of what save_pretrained writes, without {WEIGHTS}; {_AGAIN}"
        )
    if ours and (_facts(folder) or {}).get("weights") != fingerprint(path):
        raise ValueError(
            f"{path}: other weights than {CONFIG} tells of: cut short, damaged, of another save, "
            f"or a pointer of git-lfs ({path.stat().st_size} bytes); {_AGAIN}"
        )
    return path


def _facts(folder: Path) -> dict[str, Any] | None:
    path = folder / CONFIG
    if not path.is_file():
        return None
    try:
        if path.stat().st_size > _LARGEST_CONFIG:
            return {}
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no JSON: {error}; {_AGAIN}") from error
    return facts if isinstance(facts, dict) else {}


def check_free(folder: Path) -> None:
    """Check that a save replaces nothing but an earlier one.

    Raises:
        OSError: if the folder is a file, or holds a `CONFIG` or weights that are not ours.
    """
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{folder}: a file, not a folder to save in")
    try:
        ours = is_ours(folder)
    except ValueError:  # not JSON
        ours = False
    taken = [] if ours else [name for name in (CONFIG, WEIGHTS) if (folder / name).exists()]
    if taken:
        raise FileExistsError(
            f"{folder} holds a {taken[0]} of something else, such as a run: save in another folder"
        )


def _digest(sections: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(sections, sort_keys=True).encode()).hexdigest()


def _version() -> str:
    try:
        return version("avblocks")
    except PackageNotFoundError:
        return "not installed"
