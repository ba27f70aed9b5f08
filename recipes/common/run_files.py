"""Files of a run folder that other programs read: checkpoints and `config.json`."""

from pathlib import Path
from typing import Any

from torch import Tensor

from avblocks.checkpoint import saves
from avblocks.checkpoint.folder import WEIGHTS
from avblocks.checkpoint.read import foreign_weights
from avblocks.jsonfile import Shape, read_json, shape_fault
from recipes.engine.folder import check_writable, checkpoints

_SIZES: Shape = {
    "data": {"size": int, "mels": int, "seconds": (int, float)},
    "model": {
        "depth": (int, [int]),
        "fusion_layers": (str, [int]),
        "*": (int, float, str, [int]),
    },
}
"""The sizes of the encoder in the configuration of a run."""
_STATE: Shape = {"run": {"step": int}, "state_dict": {"*": Tensor}}
"""The content of a checkpoint of a run, as far as other programs read it."""
_CONFIG: Shape = {"data": {"name": str}, "model": dict}
"""The part of the configuration that all recipes have."""
PRETRAIN = (
    "pre-train first (python -m recipes.paper_pretrain), give a file, or pass --checkpoint None to "
    "start at random"
)


def find(checkpoint: Path, *, remedy: str = PRETRAIN) -> Path:
    """Return a checkpoint file or an exported folder.

    For a run folder, it is the newest complete checkpoint in it, and for a folder of another
    program, such as transformers, its weights.

    Raises:
        ValueError: If there is none; the message ends with the remedy.
    """
    if (path := newest(checkpoint)) is None:
        what = "holds no whole checkpoint" if checkpoint.is_dir() else "does not exist"
        raise ValueError(f"--checkpoint {checkpoint} {what}: {remedy}")
    return path


def newest(checkpoint: Path) -> Path | None:
    """Return what `find` does, and None if there is none."""
    if checkpoint.is_dir() and (weights := foreign_weights(checkpoint)):
        return weights
    if checkpoint.is_file() or (checkpoint / WEIGHTS).is_file():
        return checkpoint
    return saves.latest(checkpoints(checkpoint)) if checkpoint.is_dir() else None


def is_export(path: Path) -> bool:
    """Return whether a path is a folder of `recipes.export`, which may be damaged."""
    return (path / WEIGHTS).is_file() and foreign_weights(path) is None


def check_out(out: Path) -> None:
    """Check a folder for results.

    Raises:
        ValueError: If it cannot be written to, or is a run's, whose files they would replace.
    """
    if saves.exists(checkpoints(out)):
        raise ValueError(f"--out {out} is the folder of a run: give a folder of its own")
    check_writable(out, option="--out")


def load_run(path: Path, *, remedy: str) -> dict[str, Any]:
    """Load a checkpoint of a run: its weights, and the number of its steps.

    Raises:
        ValueError: If it is damaged, or holds something else (ends with the remedy).
    """
    state = saves.load(path)
    if (fault := shape_fault(state, _STATE)) is not None:
        raise ValueError(f"{path}: not a checkpoint of a run: {fault}; {remedy}")
    return state


def run_config(path: Path) -> dict[str, Any] | None:
    """Return the configuration of the run of a checkpoint, if it is in a run folder."""
    config = _config_file(path)
    return read_sizes(config) if path.suffix == ".ckpt" and config.is_file() else None


def read_sizes(file: Path) -> dict[str, Any]:
    """Return the configuration in a `config.json`, with the sizes of an encoder.

    Raises:
        ValueError: If it is damaged, or lacks them.
    """
    return read_json(file, {"config": _SIZES}, remedy="give another --checkpoint")["config"]


def read_run_config(path: Path, *, remedy: str) -> dict[str, Any]:
    """Read recipe, classes and configuration from the run folder of a checkpoint.

    Raises:
        ValueError: If it is not in a run folder (ends with the remedy), or the run lacks them.
    """
    file = _config_file(path)
    if path.is_dir() or not file.is_file():
        raise ValueError(f"{path} is in no run folder: {remedy}")
    values = read_json(file, dict, remedy=remedy)
    if shape_fault(values, {"recipe": str, "classes": [str], "config": dict}) is not None:
        raise ValueError(
            f"{file} does not say which recipe and classes it is of: give that run's command once "
            "more, with --run.resume, which adds them"
        )
    if (fault := shape_fault(values["config"], _CONFIG, name="the config")) is not None:
        raise ValueError(f"{file}: {fault}; {remedy}")
    return values


def _config_file(checkpoint: Path) -> Path:
    return checkpoint.parent.parent / "config.json"
