"""What a run folder says of the model in it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from dacite import Config as Rules
from dacite import DaciteError, from_dict

from recipes.common.data import FREE
from recipes.engine.folder import flat, plain

RECIPES = (
    "paper_finetune",
    "paper_linear_probe",
    "paper_localize",
    "paper_separate",
    "paper_segment",
)
"""Those whose runs hold an encoder with a head."""
C = TypeVar("C")


def any_facts(path: Path, *, remedy: str) -> dict[str, Any]:
    """Return what the run folder says of a checkpoint in it: recipe, classes, configuration.

    Raises:
        ValueError: If it says too little, or is no run folder; that ends in the remedy.
    """
    file = path.parent.parent / "config.json"
    if path.is_dir() or not file.is_file():
        raise ValueError(f"{path} lies in no run folder: {remedy}")
    try:
        facts = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file} is damaged: {error}") from error
    recipe = facts.get("recipe") if isinstance(facts, dict) else None
    if recipe is None or not {"classes", "config"} <= facts.keys():
        raise ValueError(
            f"{file} does not say which recipe and classes it is of: give that run's command once "
            "more, with --run.resume, which adds them"
        )
    return facts


def run_facts(path: Path) -> dict[str, Any]:
    """Return what `any_facts` does, of a run with a head.

    Raises:
        ValueError: If it says too little, or is of a recipe without a head.
    """
    facts = any_facts(path, remedy=f"give a run folder of {listed()}")
    file, recipe = path.parent.parent / "config.json", facts["recipe"]
    if recipe not in RECIPES:
        raise ValueError(
            f"{file.parent} is a run of {recipe}, which has no head to predict with: train one on "
            f"it first (python -m recipes.paper_linear_probe --checkpoint {file.parent}), or give "
            f"a run folder of {listed()}"
        )
    return facts


def rebuilt(kind: type[C], values: Mapping[str, Any]) -> C:
    """Make a configuration from what JSON gives back of it.

    Args:
        kind: A frozen dataclass of plain values, paths, tuples and other such dataclasses.
        values: Of its fields. Only those may be missing that a resumed run may change, as they do
            not change the model: a recipe may have got more of them since.

    Returns:
        The configuration.

    Raises:
        ValueError: If a name is unknown or missing, or a value is of another type.
    """
    try:
        config = from_dict(kind, values, Rules(cast=[Path, tuple], strict=True))
    except DaciteError as error:
        raise ValueError(
            f"config.json does not fit this version's {kind.__module__}: {error}"
        ) from error
    names = flat(plain(config)).keys() - flat(values).keys() - set(FREE)
    missing = sorted(name for name in names if not name.startswith("run."))
    if missing:
        raise ValueError(f"config.json lacks {', '.join(missing)}")
    return config


def listed() -> str:
    """Name the recipes of such runs."""
    return f"{', '.join(RECIPES[:-1])} or {RECIPES[-1]}"
