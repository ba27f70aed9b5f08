"""Rebuild the configuration, the encoder or the task module of a run from its folder."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from dacite import Config as Rules
from dacite import DaciteError, from_dict
from torch import Tensor

from avblocks import AVEncoder
from avblocks.checkpoint import from_pretrained, from_run, load_weights
from avblocks.checkpoint.folder import WEIGHTS
from avblocks.data import FrontEnd
from avblocks.tasks import HeadTask
from recipes.common.data_settings import FREE, Data
from recipes.common.model import Model, build_encoder
from recipes.common.run_files import find, load_run, read_run_config
from recipes.engine.folder import plain
from recipes.engine.resuming import ADDED, flat

HEADS = ("finetune", "linear_probe", "localize", "separate", "segment")
RECIPES = tuple(f"paper_{name}" for name in HEADS)
"""Recipes that train an encoder with a head."""
REMEDY = (
    f"give a run folder of {', '.join(RECIPES[:-1])} or {RECIPES[-1]}, or a folder of "
    "python -m recipes.export"
)
ENCODERS = "give the run folder of a recipe that trains, or a folder of python -m recipes.export"
C = TypeVar("C")


def rebuild_config(kind: type[C], values: Mapping[str, Any]) -> C:
    """Build a configuration, a dataclass, from its JSON values.

    Fields that a resumed run may change, and those of `ADDED`, may be missing: they do not affect
    the model, and may be newer than the run.

    Raises:
        ValueError: If a name is unknown or missing, or a value has another type.
    """
    try:
        config = from_dict(kind, values, Rules(cast=[Path, tuple], strict=True))
    except DaciteError as error:
        raise ValueError(
            f"config.json does not fit this version's {kind.__module__}: {error}"
        ) from error
    names = flat(plain(config)).keys() - flat(values).keys() - {*FREE, *ADDED}
    missing = sorted(name for name in names if not name.startswith("run."))
    if missing:
        raise ValueError(f"config.json lacks {', '.join(missing)}")
    return config


def rebuild_task(values: Mapping[str, Any], weights: Mapping[str, Tensor]) -> HeadTask:
    """Build the task module of a run of `RECIPES`, see `read_run_config`, and load its weights."""
    recipe = importlib.import_module(f"recipes.{values['recipe']}")
    task = recipe.build(rebuild_config(recipe.Config, values["config"]), classes=values["classes"])
    load_weights(task, from_run(dict(weights), part=""), strict=True)
    return task


@dataclass(frozen=True, kw_only=True)
class _Sizes:
    """The part of the configuration of a run from which its encoder is built."""

    data: Data
    model: Model


def rebuild_encoder(
    values: Mapping[str, Any], weights: Mapping[str, Tensor]
) -> tuple[AVEncoder, FrontEnd]:
    """Build the encoder and front end of a run, see `read_run_config`, and load the weights.

    Raises:
        ValueError: If the configuration or the weights do not match.
    """
    config = values["config"]
    sizes = rebuild_config(_Sizes, {name: config.get(name) for name in ("data", "model")})
    encoder = build_encoder(sizes.model, sizes.data, drop_path=config.get("drop_path", 0.0))
    load_weights(encoder, from_run(dict(weights)), strict=True)
    return encoder, FrontEnd(sizes.data.format)


def load_encoder_run(path: Path) -> tuple[AVEncoder, FrontEnd]:
    """Load encoder and front end from a run folder, a checkpoint in one, or an exported folder.

    Raises:
        ValueError: If the path is none of these, or damaged.
    """
    if (path / WEIGHTS).is_file():
        found = from_pretrained(path)
        if found.front_end is None:
            raise ValueError(f"{path} holds an encoder without its front end: export it again")
        return found.encoder, found.front_end
    checkpoint = find(path, remedy=ENCODERS)
    values = read_run_config(checkpoint, remedy=ENCODERS)
    weights = load_run(checkpoint, remedy=ENCODERS)["state_dict"]
    try:
        return rebuild_encoder(values, weights)
    except ValueError as error:
        raise ValueError(f"{checkpoint} cannot be used: {error}") from error
