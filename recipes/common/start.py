"""Where a recipe's encoder starts: a run, an exported encoder, or a published file."""

import json
from collections.abc import Collection
from dataclasses import fields
from pathlib import Path
from typing import Any

from avblocks import AVEncoder
from avblocks.checkpoint import (
    LoadReport,
    from_audiomae,
    from_mae,
    load_encoder,
    load_weights,
    read_state,
)
from avblocks.checkpoint import saves as _saves
from avblocks.tasks import Pretraining
from recipes.common.exported import WEIGHTS, check_same_numbers, clip_sizes, exported_sizes
from recipes.common.model import Model
from recipes.engine.folder import checkpoints


def start_encoder(
    encoder: AVEncoder, checkpoint: Path | None, *, model: Model, resume: bool
) -> LoadReport | None:
    """Fill an encoder and print what became of every weight.

    Args:
        encoder: Built from `model`.
        checkpoint: A run folder (its newest whole checkpoint is taken), a checkpoint in one, a
            folder of `recipes.export`, or a published file; `None` leaves the encoder at its
            random start.
        model: The sizes, to be compared with those of the run.
        resume: Whether all weights will come from the run that is resumed; then nothing is done.

    Returns:
        The report, if a checkpoint was loaded.

    Raises:
        ValueError: If there is no such checkpoint, it is of another model, or nothing fits.
    """
    if resume:
        return None
    if checkpoint is None:
        print("no --checkpoint: the encoder starts at random", flush=True)
        return None
    path = find(checkpoint)
    check_same_sizes(model, path)
    try:
        check_same_numbers(encoder, path)
        report = load_encoder(encoder, read_state(path))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    print(f"{path}\n{report}", flush=True)
    before, now = _run_sizes(path) or exported_sizes(path), _sizes(encoder)
    if before and before != now:
        print(f"note: it was trained on clips of {before}, and these are of {now}", flush=True)
    return report


PRETRAIN = (
    "pre-train first (python -m recipes.paper_pretrain), give a file, or pass --checkpoint None to "
    "start at random"
)


def find(checkpoint: Path, *, remedy: str = PRETRAIN) -> Path:
    """Return what is meant: the newest whole checkpoint, if it is a run folder.

    Raises:
        ValueError: If there is none; it ends in the remedy.
    """
    if checkpoint.is_file() or (checkpoint / WEIGHTS).is_file():
        return checkpoint
    newest = _saves.latest(checkpoints(checkpoint)) if checkpoint.is_dir() else None
    if newest is None:
        what = "holds no whole checkpoint" if checkpoint.is_dir() else "does not exist"
        raise ValueError(f"--checkpoint {checkpoint} {what}: {remedy}")
    return newest


def run_config(path: Path) -> dict[str, Any] | None:
    """Return the configuration of the run that a checkpoint lies in, if it lies in one."""
    config = path.parent.parent / "config.json"
    if path.suffix != ".ckpt" or not config.is_file():
        return None
    return json.loads(config.read_text(encoding="utf-8"))["config"]


def _run_sizes(path: Path) -> str:
    """The clips of the run that a checkpoint lies in, if it lies in one."""
    data = (run_config(path) or {}).get("data")
    if not data:
        return ""
    frames = round(data["seconds"] * 64)
    return clip_sizes((data["size"],) * 2, (data["mels"], frames))


def _sizes(encoder: AVEncoder) -> str:
    """The clips that an encoder was built for."""
    grids = ((vit.pos_embed.grid, vit.patch) for vit in (encoder.image, encoder.audio))
    image, audio = (tuple(n * p for n, p in zip(*pair, strict=True)) for pair in grids)
    return clip_sizes(image, audio)


def check_same_sizes(model: Model, path: Path) -> None:
    """Check that a run's encoder has the sizes of this one, in the user's own words.

    Raises:
        ValueError: If it has not; the message gives the options that make it so.
    """
    theirs = (run_config(path) or {}).get("model", {})
    others = ("decoder", "normalize", "checkpointing")
    names = [f.name for f in fields(Model) if not f.name.startswith(others)]
    now = {name: _plain(getattr(model, name)) for name in names}
    wrong = {name: theirs[name] for name in names if theirs.get(name, now[name]) != now[name]}
    if wrong:
        options = " ".join(f"--model.{n.replace('_', '-')} {_words(v)}" for n, v in wrong.items())
        raise ValueError(f"{path} holds an encoder of other sizes: pass {options}")


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _words(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def load_pretrained(
    model: Pretraining, *, image: Path | None, audio: Path | None
) -> Collection[str]:
    """Start the ViTs from published weights where given, and print the load reports.

    Returns:
        The names in the model that the files filled.

    Raises:
        ValueError: If a file is damaged or of another model; a final norm may be missing, as it is
            in fine-tuned files.
    """
    names: list[str] = []
    for modality, path, convert in (("image", image, from_mae), ("audio", audio, from_audiomae)):
        if path is None:
            continue
        vit = model.mae.encoder.get_submodule(modality)
        report = load_weights(vit, convert(read_state(path)))
        print(f"{path}\n{report}", flush=True)
        strange = [*report.unused, *(n for n in report.missing if not n.startswith("norm."))]
        if strange:
            raise ValueError(f"{path}: weights of another model, see {', '.join(strange[:4])} ...")
        names += report.prefixed(f"mae.encoder.{modality}.").loaded
    return names
