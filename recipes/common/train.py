"""`open_training`: the run folder of a recipe, with the list of the files that it had to skip."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from avblocks.data import SkippedFiles
from avblocks.data.datasets import ClipSet
from recipes.common.cli import resume_command
from recipes.common.data import FREE
from recipes.common.optimizer import Schedule
from recipes.common.settings import TrainConfig
from recipes.engine import OpenRun, open_run


class Training:
    """An open run of a recipe, which trains with the recipe's settings.

    Attributes:
        skipped: Lists the files that cannot be used; called with each batch.
    """

    def __init__(self, run: OpenRun, config: TrainConfig, *, total: int) -> None:
        self.run, self.config = run, config
        self.skipped = SkippedFiles(
            config.run.folder, total=total, max_skipped=config.data.max_skipped
        )

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self.config.run.folder

    @property
    def first(self) -> bool:
        """Whether this process writes files for all."""
        return self.run.first

    @property
    def finished(self) -> bool:
        """Whether all steps are taken, and not just `run.max_steps` of them."""
        return self.run.finished

    def fit(
        self,
        model: nn.Module,
        loader: Callable[[int, int], DataLoader[Any]],
        *,
        optimizer: Optimizer,
        schedule: Schedule,
        evaluate: Callable[[], Mapping[str, float]] | None,
        compiled: nn.Module | None = None,
        unused: bool = True,
    ) -> None:
        """Train a model.

        Args:
            model: Called with a batch, it returns its losses.
            loader: From (rank, world size), makes the loader of that process.
            optimizer: Over the model's parameters.
            schedule: From the epochs done so far to the learning rate of each group.
            evaluate: Scores the model in brief, from time to time.
            compiled: The part that `run.compile` compiles, if not all of it.
            unused: Whether some parameters have no part in the loss.
        """
        self.run.fit(
            model,
            train=loader,
            optimizer=optimizer,
            schedule=schedule,
            epochs=self.config.epochs,
            evaluate=evaluate,
            evaluate_every=self.config.evaluate_every,
            on_batch=self.skipped,
            compiled=compiled,
            unused=unused,
        )

    def testing(self, model: nn.Module) -> AbstractContextManager[None]:
        """Return a context in which the model is tested: evaluation mode, precision, own seed."""
        return self.run.testing(model)


@contextmanager
def open_training(
    config: TrainConfig, *, train: ClipSet, test: ClipSet | None
) -> Iterator[Training]:
    """Open a recipe's run folder; in the end, print what was skipped and how to resume.

    Args:
        config: The recipe's settings.
        train: The clips to train on.
        test: The clips to test on, if there are any.

    Yields:
        The run.

    Raises:
        ValueError: If the folder holds another run, or none to resume.
    """
    clips = {"train": train, "test": test}
    with open_run(config.run, config=config, free=FREE, clips=clips) as run:
        training = Training(run, config, total=len(train) + (len(test) if test else 0))
        yield training
        if run.first:
            print(training.skipped.summary())
            if not run.finished:
                print(f"next: {resume_command()}")
