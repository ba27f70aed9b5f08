"""`SavedRun`: the configuration, the encoder or the task module of a run, from its folder."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from dacite import Config as Rules
from dacite import DaciteError, from_dict
from torch import Tensor

from avblocks import AVEncoder
from avblocks.checkpoint import from_pretrained, from_run, load_weights, rebuild
from avblocks.data import FrontEnd
from avblocks.tasks import HeadTask
from recipes.common.data_settings import FREE, Data
from recipes.common.errors import prefixed
from recipes.common.foreign import RECORD, rebuilding
from recipes.common.model import Model, build_encoder
from recipes.common.run_files import find, is_export, load_run, read_run_config
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


@dataclass(frozen=True, kw_only=True)
class _Sizes:
    """The part of the configuration of a run from which its encoder is built."""

    data: Data
    model: Model


@dataclass(frozen=True, kw_only=True)
class SavedRun:
    """A checkpoint of a run, and the content of its `config.json`.

    Attributes:
        path: The checkpoint.
        run_config: Recipe, classes, configuration, clips and provenance.
        weights: Weights of the task module.
        step: Optimizer steps done.
    """

    path: Path
    run_config: Mapping[str, Any]
    weights: dict[str, Tensor]
    step: int

    @property
    def has_head(self) -> bool:
        """Whether the run trains a head."""
        return self.run_config["recipe"] in RECIPES

    @property
    def trained_on(self) -> str:
        """The data and the length of the training, in words."""
        clips = self.run_config.get("clips", {}).get("train", {}).get("on_disk")
        data = [self.run_config["config"]["data"]["name"]]
        data += [] if clips is None else [f"{clips:,} clips"]
        data += [f"{len(self.run_config['classes'])} classes"] if self.run_config["classes"] else []
        return f"{', '.join(data)}; {self.step:,} steps of {self.run_config['recipe']}"

    def task(self) -> tuple[HeadTask, Any]:
        """Build the task module, load its weights, and return it with the recipe's configuration.

        Raises:
            ValueError: If the run has no head, or the configuration or the weights do not match.
        """
        name = self.run_config["recipe"]
        if not self.has_head:
            folder = self.path.parent.parent
            raise ValueError(
                f"{folder} is a run of {name}, without a head: train one on it "
                f"first (python -m recipes.paper_linear_probe --checkpoint {folder}), or {REMEDY}"
            )
        recipe = importlib.import_module(f"recipes.{name}")
        with prefixed(f"{self.path} cannot be used: "):
            config = rebuild_config(recipe.Config, self.run_config["config"])
            with rebuilding(self.run_config):
                task = recipe.build(config, classes=self.run_config["classes"])
            load_weights(task, from_run(self.weights, part=""), strict=True)
        return task, config

    def encoder(self) -> tuple[AVEncoder, FrontEnd]:
        """Build the encoder and its front end, and load the weights.

        Raises:
            ValueError: If the configuration or the weights do not match.
        """
        config = self.run_config["config"]
        with prefixed(f"{self.path} cannot be used: "):
            sizes = rebuild_config(_Sizes, {name: config.get(name) for name in ("data", "model")})
            drop_path = config.get("drop_path", 0.0)
            if (record := self.run_config.get(RECORD)) is not None:
                encoder = cast(AVEncoder, rebuild.build_encoder(record))
            else:
                encoder = build_encoder(sizes.model, sizes.data, drop_path=drop_path)
            load_weights(encoder, from_run(self.weights), strict=True)
        return encoder, FrontEnd(sizes.data.format)


def open_saved(path: Path, *, remedy: str) -> SavedRun:
    """Read a checkpoint: the newest of a run folder, or one in it.

    Raises:
        ValueError: If there is none, or it is damaged; the message ends with the remedy.
    """
    checkpoint = find(path, remedy=remedy)
    run_config, state = (
        read_run_config(checkpoint, remedy=remedy),
        load_run(checkpoint, remedy=remedy),
    )
    step, weights = state["run"]["step"], state["state_dict"]
    return SavedRun(path=checkpoint, run_config=run_config, weights=weights, step=step)


def load_encoder_run(path: Path) -> tuple[AVEncoder, FrontEnd]:
    """Load encoder and front end from a run folder, a checkpoint in one, or an exported folder.

    Raises:
        ValueError: If the path is none of these, or damaged.
    """
    if not is_export(path):
        return open_saved(path, remedy=ENCODERS).encoder()
    found = from_pretrained(path)
    if found.front_end is None:
        raise ValueError(f"{path} holds an encoder without its front end: export it again")
    return found.encoder, found.front_end
