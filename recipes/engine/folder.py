"""The run folder: what it holds, and when a run may start or go on in it."""

import json
import os
import platform
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from avblocks.checkpoint import saves as _saves
from avblocks.data.datasets import ClipSet
from recipes.engine.run import Run

FIXED = ("run.seed", "run.accumulate", "run.clip_grad")
"""The only settings of `Run` that a resumed run must keep."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep every other run out of a folder for as long as the block lasts.

    The system releases the lock when the process ends, however it ends. The workers and training
    processes that it started do not hold it.

    Args:
        folder: The run folder; it is made if need be.

    Raises:
        ValueError: If another process holds it; the message names that process.
        OSError: If nothing can be written there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "lock"
    lock = FileLock(path, blocking=False)
    try:
        lock.acquire()
    except Timeout:
        holder = path.read_text(encoding="utf-8").strip() or "a process"
        raise ValueError(
            f"another run is at work in {folder} ({holder}): wait for its end, or pass another "
            "--run.dir"
        ) from None
    try:
        path.write_text(f"process {os.getpid()} on {platform.node()}\n", encoding="utf-8")
        yield
    finally:
        lock.release()


def open_folder(
    run: Run,
    *,
    config: Any,
    free: Collection[str] = (),
    clips: Mapping[str, ClipSet | None] | None = None,
    first: bool = True,
    check: Callable[[Path], object] | None = None,
) -> Path | None:
    """Make the run folder ready and write `config.json`; what is refused changes nothing in it.

    Args:
        run: The run's settings.
        config: The recipe's configuration, a dataclass or a dict.
        free: Dotted names in `config` that a resumed run may change, such as `data.root`.
        clips: The data by what it is for, such as "train"; counts of it are kept, and the classes
            of what it is trained on.
        first: Whether this process writes and talks for all the others.
        check: Called with the checkpoint to go on from; raises if it does not fit.

    Returns:
        The checkpoint to go on from, or None to start at step 0.

    Raises:
        ValueError: If the folder holds a run and `run.resume` is off, or the other way
            round, or if the run in it was started with another configuration or trained on other
            clips.
    """
    folder = run.folder
    given = {use: found for use, found in (clips or {}).items() if found is not None}
    train = given.get("train")
    facts = {
        "recipe": recipe_of(config),
        "classes": [] if train is None else list(train.classes),
        "config": {**plain(config), "run": plain(run)},
        "clips": {use: found.facts() for use, found in given.items()},
        "versions": versions(),
    }
    if not run.resume:
        if first and _saves.exists(checkpoints(folder)):
            raise ValueError(
                f"{folder} holds a run already: pass --run.resume to go on with it, "
                "or another --run.dir"
            )
        path = None
    else:
        report = print if first else _silent
        path = _saves.latest(checkpoints(folder), report=report)
        if path is None:
            raise ValueError(f"nothing to resume in {folder}: it holds no whole checkpoint")
        _check_same(folder / "config.json", facts, free, report)
        if check is not None:
            check(path)
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


def recipe_of(config: Any) -> str | None:
    """Return the name of the recipe whose configuration this is, if it is a recipe's."""
    # A recipe that is run is `__main__`; only its spec still has its name.
    spec = getattr(sys.modules.get(type(config).__module__), "__spec__", None)
    name = "" if spec is None else spec.name
    short = name.removeprefix("recipes.").removesuffix(".__main__")
    return short if name.startswith("recipes.") else None


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested values by their dotted names."""
    found = {}
    for key, value in values.items():
        if isinstance(value, dict):
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[prefix + key] = value
    return found


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


def _check_same(
    path: Path, facts: Mapping[str, Any], free: Collection[str], report: Callable[[str], object]
) -> None:
    if not path.is_file():
        raise ValueError(f"{path} is missing, so the run cannot be resumed safely")
    old = json.loads(path.read_text(encoding="utf-8"))
    before, now = flat(old["config"]), flat(facts["config"])
    changed = [
        f"{name} was {before.get(name)!r}, now {now.get(name)!r}"
        for name in sorted(before.keys() | now.keys())
        if before.get(name) != now.get(name) and not _is_free(name, free)
    ]
    if changed:
        raise ValueError(
            f"the run in {path.parent} had another configuration: {'; '.join(changed)}"
        )
    _check_clips(old.get("clips", {}), facts["clips"], report)


def _check_clips(
    before: Mapping[str, Any], now: Mapping[str, Any], report: Callable[[str], object]
) -> None:
    """Refuse other clips to train on, since they come in another order; tell of other changes."""
    for use in before.keys() & now.keys():
        old, new = before[use], now[use]
        if old["ids_sha256"] == new["ids_sha256"]:
            continue
        change = f"the clips to {use} on are others: {old['on_disk']:,} were on disk when the run "
        change += f"was started, and {new['on_disk']:,} are now"
        if use == "train":
            raise ValueError(f"{change}; resume on the same clips, or start a new run")
        report(change)


def _is_free(name: str, free: Collection[str]) -> bool:
    if name.startswith("run."):
        return name not in FIXED
    return any(name == other or name.startswith(other + ".") for other in free)
