"""A folder of weights and what they belong to: written whole, and read whole or refused."""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from avblocks.files import fingerprint, sync

WEIGHTS, CONFIG = "model.safetensors", "config.json"
_FORMAT = 1
_LARGEST_CONFIG = 2**16
_HALF = ".saving-"
_ABOUT = ("format", "format_version", "avblocks_version", "numbers_sha256", "weights")
_AGAIN = "save or download it again"


def write(folder: Path, *, state: Mapping[str, Tensor], sections: Mapping[str, Any]) -> None:
    """Write both files; a kill leaves the old pair, the new one, or one that is refused.

    Args:
        folder: made if it is not there.
        state: contiguous tensors on the CPU.
        sections: what else `CONFIG` is to hold.

    Raises:
        OSError: as `check_free`, or if it cannot be written.
    """
    check_free(folder)
    folder.mkdir(parents=True, exist_ok=True)
    facts = {
        "format": "avblocks",
        "format_version": _FORMAT,
        "avblocks_version": _version(),
        "numbers_sha256": _digest(sections),
    }
    _sweep(folder)
    try:
        with TemporaryDirectory(prefix=f"{_HALF}{os.getpid()}-", dir=folder) as half:
            weights, config = Path(half, WEIGHTS), Path(half, CONFIG)
            # One word, as the library writes several in any order.
            save_file(dict(state), weights, metadata={"avblocks": _version()})
            facts |= {"weights": fingerprint(weights), **sections}
            config.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
            weights.chmod(config.stat().st_mode)  # safetensors writes for its owner alone
            for part in (weights, config):
                sync(part)
            for part in (weights, config):
                part.replace(folder / part.name)
        sync(folder)
    except (OSError, SafetensorError) as error:
        raise OSError(f"{folder} cannot be written: {error}") from error


def _sweep(folder: Path) -> None:
    """Remove what killed saves have left; a save of another process at work is left alone."""
    for half in folder.glob(f"{_HALF}*"):
        try:
            os.kill(int(half.name.removeprefix(_HALF).partition("-")[0]), 0)  # sends nothing
        except ProcessLookupError:
            shutil.rmtree(half, ignore_errors=True)
        except (PermissionError, ValueError):  # at work for somebody else, or none of ours
            continue


def read(folder: Path) -> dict[str, Any]:
    """The sections of a folder's `CONFIG`, without those that are about the folder itself.

    Raises:
        OSError: if there is no such folder.
        ValueError: if it is none of ours, half of one, or of a later format.
    """
    if folder.is_file():
        raise NotADirectoryError(f"{folder}: a file; give the folder that it lies in")
    if not folder.is_dir():
        raise FileNotFoundError(
            f"{folder}: no such folder; what lies on the Hugging Face Hub is loaded by "
            "avblocks.checkpoint.hub.HubEncoder.from_pretrained"
        )
    facts = _facts(folder)
    if facts is None:
        raise ValueError(f"{folder}: no {CONFIG} is in it, as save_pretrained writes it; {_AGAIN}")
    if not is_ours(folder):
        raise ValueError(
            f"{folder / CONFIG} is not of save_pretrained; the encoder of a run's folder is saved "
            "by python -m recipes.export"
        )
    if facts.get("format_version") != _FORMAT:
        raise ValueError(
            f"{folder / CONFIG} is of format {facts.get('format_version')!r}, by avblocks "
            f"{facts.get('avblocks_version')}, and this version reads format {_FORMAT}: install "
            "that one"
        )
    sections = {name: value for name, value in facts.items() if name not in _ABOUT}
    if facts.get("numbers_sha256") != _digest(sections):
        raise ValueError(
            f"{folder / CONFIG}: other numbers than were saved: damaged, or changed by hand; "
            f"{_AGAIN}"
        )
    return sections


def is_ours(folder: Path) -> bool:
    """Whether `save_pretrained` wrote the folder's `CONFIG`."""
    return (_facts(folder) or {}).get("format") == "avblocks"


def whole_weights(folder: Path) -> Path:
    """The file of a folder's weights, which are those that its `CONFIG` tells of.

    A folder that others wrote has nothing to compare them with.

    Raises:
        IsADirectoryError: if no weights are in it.
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
    """Check that nothing of somebody else's would be replaced.

    Raises:
        OSError: if the folder is a file, or holds a `CONFIG` or weights that are not ours.
    """
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{folder}: a file, not a folder to save in")
    try:
        taken = CONFIG if (folder / CONFIG).exists() and not is_ours(folder) else ""
    except ValueError:  # no JSON at all
        taken = CONFIG
    if not (folder / CONFIG).exists() and (folder / WEIGHTS).exists():
        taken = "" if _made_here(folder / WEIGHTS) else WEIGHTS  # after a kill between the two
    if taken:
        raise FileExistsError(
            f"{folder} holds a {taken} of something else, such as a run: save in another folder"
        )


def _made_here(weights: Path) -> bool:
    try:
        with safe_open(weights, framework="pt") as file:
            return "avblocks" in (file.metadata() or {})
    except (OSError, SafetensorError):
        return False


def _digest(sections: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(sections, sort_keys=True).encode()).hexdigest()


def _version() -> str:
    try:
        return version("avblocks")
    except PackageNotFoundError:
        return "not installed"
