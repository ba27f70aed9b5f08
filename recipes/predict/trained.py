"""The trained model of a run folder, rebuilt from what the folder says of itself."""

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from avblocks.checkpoint import load_weights
from avblocks.checkpoint import saves as _saves
from avblocks.data import AVBatch, ClipFormat
from recipes.common.start import find
from recipes.predict.facts import listed, rebuilt, run_facts


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A model, ready to be asked."""

    model: nn.Module
    """In evaluation mode, on a GPU if there is one."""

    format: ClipFormat
    """How a clip looks to it."""

    classes: tuple[str, ...]
    """Names of the classes that it tells apart, if it does."""

    path: Path
    """The checkpoint."""

    @property
    def task(self) -> str:
        """What it does, in one word."""
        return type(self.model).__name__.lower()


def load_trained(checkpoint: Path) -> Trained:
    """Rebuild the model of a run.

    Args:
        checkpoint: A run folder (its newest whole checkpoint is taken), or a checkpoint in one.

    Returns:
        The model.

    Raises:
        ValueError: If it is none of a recipe with a head, damaged, or does not fit its own
            configuration; nothing is left at its random start.
    """
    path = find(checkpoint, remedy=f"give a run folder of {listed()}")
    facts = run_facts(path)
    recipe = importlib.import_module(f"recipes.{facts['recipe']}")
    state = _saves.load(path)["state_dict"]
    weights = {name.removeprefix("model."): value for name, value in state.items()}
    try:
        config = rebuilt(recipe.Config, facts["config"])
        model = recipe.build(config, classes=facts["classes"])
        load_weights(model, weights, strict=True)
    except ValueError as error:
        raise ValueError(f"{path} cannot be used: {error}") from error
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = model.to(device).eval().requires_grad_(False)
    return Trained(
        model=model, format=config.data.format, classes=tuple(facts["classes"]), path=path
    )


@torch.inference_mode()
def asked(model: nn.Module, ask: Callable[[AVBatch], Tensor], batch: AVBatch) -> Tensor:
    """Call a function of a model with a batch, where the model is.

    Args:
        model: What it belongs to.
        ask: From a batch to numbers.
        batch: Of windows.

    Returns:
        The numbers, on the CPU.
    """
    return ask(batch.to(next(model.parameters()).device)).float().cpu()


def load_all(runs: Sequence[Path]) -> list[Trained]:
    """Rebuild the models of several runs, each of another task.

    Raises:
        ValueError: If one cannot be used, or two do the same.
    """
    found: dict[str, Trained] = {}
    for run in runs:
        trained = load_trained(run)
        if other := found.get(trained.task):
            raise ValueError(f"{other.path} and {trained.path} both do {trained.task}: give one")
        found[trained.task] = trained
    return list(found.values())
