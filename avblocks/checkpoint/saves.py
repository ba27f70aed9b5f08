"""Atomic checkpoints of a run, each with a checksum.

A checkpoint is written under a temporary name in its folder, synced to disk and renamed. A manifest
with its size and sha256 is renamed first, since no file format detects a flipped bit by itself.
Older checkpoints are removed only after the new one is complete.
"""

import json
import pickle
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from avblocks.files import fingerprint, replacing, write_text

PLAIN = (Tensor, str, int, float, bool, bytes, type(None))
_KEYS = {"bytes", "sha256"}  # keys of a manifest


def save(state: dict[str, Any], folder: Path, *, step: int, keep: int = 2) -> Path:
    """Write a checkpoint, then remove all but the newest `keep`.

    Args:
        state: Tensors and plain values, in dicts, lists and tuples.
        folder: Folder of the checkpoints.
        step: Number of optimizer steps so far; part of the file name.
        keep: Number of checkpoints to keep.

    Returns:
        The path of the checkpoint.

    Raises:
        TypeError: If `state` contains a value that would need code to be loaded.
        OSError: If it cannot be written; older checkpoints are not changed.
    """
    for name, value in _leaves(state):
        if not isinstance(value, PLAIN):
            raise TypeError(f"{name} is {type(value).__name__}, not a tensor or plain value")
    path = folder / f"step-{step:08d}.ckpt"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        _check_space(state, folder)
        _write(path, state)
    except (OSError, RuntimeError) as error:  # torch.save hides a full disk in a RuntimeError
        raise OSError(f"checkpoint {path} cannot be written: {error}") from error
    for old in _paths(folder)[keep:]:
        old.unlink()
        _manifest(old).unlink(missing_ok=True)
    return path


def latest(folder: Path, *, report: Callable[[str], object] = print) -> Path | None:
    """Return the newest complete checkpoint, or None; damaged ones are reported and skipped."""
    for path in _paths(folder):
        fault = _fault(path)
        if fault is None:
            return path
        report(f"checkpoint {path} passed over: {fault}")
    return None


def exists(folder: Path) -> bool:
    """Return whether the folder contains any checkpoint, complete or damaged."""
    return bool(_paths(folder))


def load(path: Path) -> dict[str, Any]:
    """Read a checkpoint into memory without running code in it.

    Raises:
        ValueError: If it is damaged, or contains code.
    """
    fault = _fault(path)
    if fault is not None:
        raise ValueError(f"checkpoint {path} refused: {fault}")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(f"checkpoint {path} refused: it holds more than tensors") from error


def check_manifest(path: Path) -> None:
    """Verify a file against its manifest, if there is one; links are followed.

    Raises:
        ValueError: If the file differs from the one that was written.
    """
    for place in dict.fromkeys((path, path.resolve())):
        manifest = _manifest(place)
        ours = re.fullmatch(r"step-\d+\.ckpt", place.name) or _wanted(manifest).keys() == _KEYS
        if ours and manifest.is_file() and (fault := _fault(place)) is not None:
            raise ValueError(f"{path} refused: {fault}; take another checkpoint, or copy it again")


def step_of(path: Path) -> int:
    """Return the number of optimizer steps of a checkpoint."""
    return int(path.stem.removeprefix("step-"))


def _sweep(folder: Path) -> None:
    """Remove manifests left by killed saves."""
    for path in folder.glob("step-*.json"):
        if not path.with_suffix(".ckpt").exists():
            path.unlink()


def _paths(folder: Path) -> list[Path]:
    named = [path for path in folder.glob("step-*.ckpt") if path.stem[5:].isdigit()]
    return sorted(named, key=step_of, reverse=True)


def _manifest(path: Path) -> Path:
    return path.with_suffix(".json")


def _write(path: Path, state: dict[str, Any]) -> None:
    with replacing(path) as half:
        # A file object, since torch.save writes a file name into the file.
        with half.open("wb") as file:
            torch.save(state, file)
        # The manifest is renamed first, so that every visible checkpoint has its checksum.
        write_text(_manifest(path), json.dumps(fingerprint(half)))


def _fault(path: Path) -> str | None:
    if not path.is_file():
        return "no such file"
    manifest = _manifest(path)
    if manifest == path:
        return "it is no checkpoint, but the checksum of one"
    if not manifest.is_file():
        return f"its manifest {manifest.name} is missing"
    wanted = _wanted(manifest)
    if wanted.keys() != _KEYS:
        return f"its manifest {manifest.name} is damaged"
    return None if wanted == fingerprint(path) else "it is damaged (size or sha256 differs)"


def _wanted(manifest: Path) -> dict[str, Any]:
    """Return the content of a manifest; empty if it is missing or damaged."""
    try:
        found = json.loads(manifest.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _check_space(state: dict[str, Any], folder: Path) -> None:
    tensors = [value for _, value in _leaves(state) if isinstance(value, Tensor)]
    need, free = sum(x.numel() * x.element_size() for x in tensors), shutil.disk_usage(folder).free
    if free < need:
        raise OSError(f"disk full: {need / 1e6:.0f} MB needed, {free / 1e6:.0f} MB free")


def _leaves(state: Any, name: str = "checkpoint") -> list[tuple[str, Any]]:
    """Return all values in nested dicts, lists and tuples, with their paths."""
    if isinstance(state, dict):
        inside = {f"{name}.{key}": value for key, value in state.items()}
    elif isinstance(state, list | tuple):
        inside = {f"{name}[{index}]": value for index, value in enumerate(state)}
    else:
        return [(name, state)]
    return [leaf for path, value in inside.items() for leaf in _leaves(value, path)]
