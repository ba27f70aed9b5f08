"""`evaluating`: run a recipe's `main` with a trained model: its final test without a training."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from torch import Tensor

from avblocks.data.datasets import ClipSet
from avblocks.tasks import HeadTask


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """What an evaluation tests.

    Attributes:
        weights: Weights of the task module.
        step: Optimizer steps of its training, from which the random state of the test follows.
        change: Checks or changes the test clips.
    """

    weights: dict[str, Tensor]
    step: int
    change: Callable[[ClipSet], ClipSet]


_EVALUATED: ContextVar[Evaluated | None] = ContextVar("evaluated", default=None)


def evaluated() -> Evaluated | None:
    """Return what is tested; `None` in a training."""
    return _EVALUATED.get()


@contextmanager
def evaluating(
    recipe: ModuleType, task: HeadTask, *, step: int, change: Callable[[ClipSet], ClipSet]
) -> Iterator[None]:
    """Let the `main` of a recipe test a model: nothing is built, loaded or trained.

    The final test is therefore that of the recipe, with its rows, tables and figures. Only the
    test clips are needed; they also stand for the training clips. See also `Evaluated`.
    """
    # `main` changes some weights before the training, so that they are loaded again after it.
    weights = {name: value.clone() for name, value in task.state_dict().items()}
    token = _EVALUATED.set(Evaluated(weights=weights, step=step, change=change))
    build: Any = recipe.build
    recipe.build = lambda *_, **__: task  # pyright: ignore[reportAttributeAccessIssue]
    try:
        yield
    finally:
        recipe.build = build  # pyright: ignore[reportAttributeAccessIssue]
        _EVALUATED.reset(token)
