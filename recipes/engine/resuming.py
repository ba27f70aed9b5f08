"""Checks that a resumed run has the configuration and the training clips of the run before."""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from avblocks.jsonfile import Shape, read_json, shape_fault

FIXED = ("run.seed", "run.accumulate", "run.clip_grad", "run.ema")  # of `Run`, for resumed runs
RENAMED = {"probe_every": "evaluate_every"}  # settings by their names in the previous release
ADDED: dict[str, Any] = {
    "data.hop": None,
    "data.augment": True,
    "data.frames": 1,
    "data.min_crop": 0.5,
    "data.color": 0.0,
    "model.image_embed": "linear",
    "left_out": 0.0,
    "contrast": 0.0,
    "cutmix": 0.0,
    "negative_audio": 0.0,
    "dice": 0.0,
    "joint": True,
    "model.tubelet": 2,
    "model.decoder": "full",
    "mask": "random",
    "predict": 1.0,
    "allow": [],
    "run.ema": None,
    "protocol": "deepavfusion",
    "image_pooling": "mean",
    # Of `paper_localize`.
    "local": 0,
    "patches": 1.0,
    "negatives": 0,
    "positives": 0.0,
    "hidden": 0,
    "starts": 1,
    "beta2": 0.999,
    "mirror": False,
}
"""Settings newer than some runs, and their values in those runs."""
_CLIPS: Shape = {"ids_sha256": str, "on_disk": int}
_NEW = "start a new run"
_AGAIN = f"resume with the same classes, or {_NEW}"


def check_same(
    path: Path,
    run_config: Mapping[str, Any],
    free: Collection[str],
    report: Callable[[str], object],
) -> None:
    """Raise a ValueError if the `config.json` of a run has another recipe or configuration.

    The names in `free` may differ; clips to test on are only reported.
    """
    remedy = "without it the run cannot be resumed safely; start a new one"
    old = {"clips": {}, **read_json(path, {"config": dict}, remedy=remedy)}
    if (fault := shape_fault(old, {"clips": {"*": _CLIPS}})) is not None:
        raise ValueError(f"{path}: {fault}; {remedy}")
    recipe, other = run_config.get("recipe"), old.get("recipe")
    if recipe and other and recipe != other:
        raise ValueError(
            f"the run in {path.parent} is of {other}, not of {recipe}: pass another --run.dir"
        )
    now = flat(run_config["config"])
    before = {name: value for name, value in ADDED.items() if name in now}
    before |= {RENAMED.get(name, name): value for name, value in flat(old["config"]).items()}
    changed = [
        f"{name} was {before.get(name)!r}, now {now.get(name)!r}"
        for name in sorted(before.keys() | now.keys())
        if before.get(name) != now.get(name) and not _is_free(name, free)
    ]
    if changed:
        raise ValueError(
            f"the run in {path.parent} had another configuration: {'; '.join(changed)}"
        )
    _check_classes(old.get("classes"), run_config.get("classes"))
    _check_clips(old["clips"], run_config["clips"], report)


def _check_classes(before: Any, now: Any) -> None:
    """Raise if the classes differ, whose numbers would be of others; older runs may have none."""
    if not before or not now or before == now:
        return
    if not isinstance(before, list) or len(before) != len(now):
        raise ValueError(f"the run had other classes, now {len(now)}: {_AGAIN}")
    number = next(n for n, pair in enumerate(zip(before, now, strict=True)) if pair[0] != pair[1])
    change = f"class number {number} was {before[number]!r}, now {now[number]!r}"
    raise ValueError(f"the classes are others: {change}; {_AGAIN}")


def _check_clips(
    before: Mapping[str, Any], now: Mapping[str, Any], report: Callable[[str], object]
) -> None:
    """Raise if the training clips differ, since their order would; print other changes."""
    for use in before.keys() & now.keys():
        old, new = before[use], now[use]
        if old["ids_sha256"] == new["ids_sha256"]:
            labels = new.get("labels_sha256")
            if old.get("labels_sha256", labels) != labels:
                change = f"the clips to {use} on have other labels than when the run was started"
                if use == "train":
                    raise ValueError(f"{change}; resume with the same annotation, or {_NEW}")
                report(change)
            continue
        change = f"the clips to {use} on are others: {old['on_disk']:,} were on disk when the run "
        change += f"was started, and {new['on_disk']:,} are now"
        if use == "train":
            raise ValueError(f"{change}; resume on the same clips, or {_NEW}")
        report(change)


def _is_free(name: str, free: Collection[str]) -> bool:
    if name.startswith("run."):
        return name not in FIXED
    return any(name == other or name.startswith(other + ".") for other in free)


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested values to dotted names."""
    found = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        found |= flat(value, f"{name}.") if isinstance(value, dict) else {name: value}
    return found
