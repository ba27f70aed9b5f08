"""The run folder: what it holds, and when a run may start or go on in it."""

import json
import platform
from collections.abc import Collection, Mapping
from dataclasses import asdict, is_dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from recipes import _saves
from recipes._run import Run

FIXED = ("run.seed", "run.accumulate", "run.clip_grad")
"""The only settings of `Run` that a resumed run must keep."""


def open_folder(
    run: Run, *, config: Any, free: Collection[str] = (), first: bool = True
) -> Path | None:
    """Make the run folder ready and write `config.json`.

    Args:
        run: The run's settings.
        config: The recipe's configuration, a dataclass or a dict.
        free: Dotted names in `config` that a resumed run may change, such as `data.root`.
        first: Whether this process writes and talks for all the others.

    Returns:
        The checkpoint to go on from, or None to start at step 0.

    Raises:
        ValueError: If the folder holds a run and `run.resume` is off, or the other way
            round, or if the run in it was started with another configuration.
    """
    folder = run.folder
    facts = {"config": {**plain(config), "run": plain(run)}, "versions": versions()}
    if not run.resume:
        if first and _saves.exists(checkpoints(folder)):
            raise ValueError(
                f"{folder} holds a run already: pass --run.resume to go on with it, "
                "or another --run.dir"
            )
        path = None
    else:
        path = _saves.latest(checkpoints(folder), report=print if first else _silent)
        if path is None:
            raise ValueError(f"nothing to resume in {folder}: it holds no whole checkpoint")
        _check_same(folder / "config.json", facts, free)
    if first:
        folder.mkdir(parents=True, exist_ok=True)
        _saves.replace_text(folder / "config.json", json.dumps(facts, indent=2) + "\n")
    return path


def checkpoints(folder: Path) -> Path:
    """Return where a run keeps its checkpoints."""
    return folder / "checkpoints"


def plain(config: Any) -> dict[str, Any]:
    """Return a configuration as JSON would give it back."""
    values = asdict(config) if is_dataclass(config) and not isinstance(config, type) else config
    return json.loads(json.dumps(values, default=str))


def versions() -> dict[str, str]:
    """Return the versions that a run's numbers may depend on."""
    found = {"python": platform.python_version()}
    for name in ("avblocks", "torch", "torchvision", "torchaudio", "av", "lightning"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def _silent(_: str) -> None:
    pass


def _check_same(path: Path, facts: Mapping[str, Any], free: Collection[str]) -> None:
    if not path.is_file():
        raise ValueError(f"{path} is missing, so the run cannot be resumed safely")
    old = json.loads(path.read_text(encoding="utf-8"))
    before, now = _flat(old["config"]), _flat(facts["config"])
    changed = [
        f"{name} was {before.get(name)!r}, now {now.get(name)!r}"
        for name in sorted(before.keys() | now.keys())
        if before.get(name) != now.get(name) and not _is_free(name, free)
    ]
    if changed:
        raise ValueError(
            f"the run in {path.parent} had another configuration: {'; '.join(changed)}"
        )


def _is_free(name: str, free: Collection[str]) -> bool:
    if name.startswith("run."):
        return name not in FIXED
    return any(name == other or name.startswith(other + ".") for other in free)


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat
