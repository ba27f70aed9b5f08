"""What the recipes of a head on an encoder do alike once all is built: train, test, tell."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from torch import nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from avblocks.data import AVBatch
from avblocks.data.datasets import ClipSet
from avblocks.data.skipped import SkippedFiles
from recipes.common.cli import resume_command
from recipes.common.data import FREE
from recipes.common.optimizer import Training
from recipes.engine import open_run


def train_task(
    config: Training,
    model: nn.Module,
    *,
    train: ClipSet,
    test: ClipSet,
    loader: Callable[[int, int], DataLoader[AVBatch]],
    optimizer: Optimizer,
    schedule: Callable[[float], Sequence[float]],
    evaluate: Callable[[SkippedFiles], Mapping[str, float]],
    final: Callable[[SkippedFiles, Path], object],
    compiled: nn.Module | None,
    unused: bool,
) -> None:
    """Train a model on clips, and have it tested in the end.

    Args:
        config: The settings.
        model: What is trained.
        train: The clips to train on.
        test: The clips to test on.
        loader: From (rank, world size), makes the loader of that process.
        optimizer: Over the model's parameters.
        schedule: From the epochs done so far to the learning rate of each group.
        evaluate: Scores the model in brief; it is to tell of each batch it reads.
        final: Tests it in full, and leaves what it finds in the run folder.
        compiled: The part that `run.compile` compiles, if not all of it.
        unused: Whether some parameters have no part in the loss.
    """
    folder, total = config.run.folder, len(train) + len(test)
    skipped = SkippedFiles(folder, total=total, max_skipped=config.data.max_skipped)
    clips = {"train": train, "test": test}
    with open_run(config.run, config=config, free=("checkpoint", *FREE), clips=clips) as run:
        run.fit(
            model,
            train=loader,
            optimizer=optimizer,
            schedule=schedule,
            epochs=config.epochs,
            evaluate=lambda: evaluate(skipped),
            evaluate_every=config.evaluate_every,
            on_batch=skipped,
            compiled=compiled,
            unused=unused,
        )
        if run.finished:
            with run.testing(model):
                final(skipped, folder)
        if run.first:
            print(skipped.summary())
            if not run.finished:
                print(f"next: {resume_command()}")
