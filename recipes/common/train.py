"""`open_training`: the run folder of a recipe, with the list of the files that it had to skip."""

from collections.abc import Iterator
from contextlib import contextmanager

from avblocks.data import SkippedFiles
from avblocks.data.datasets import ClipSet
from recipes.common.cli import resume_command
from recipes.common.data import FREE
from recipes.common.settings import TrainConfig
from recipes.engine import OpenRun, open_run


@contextmanager
def open_training(
    config: TrainConfig, *, train: ClipSet, test: ClipSet | None, following: str = ""
) -> Iterator[tuple[OpenRun, SkippedFiles]]:
    """Open a recipe's run folder; in the end, print what was skipped and how to resume.

    Args:
        config: The recipe's settings.
        train: The clips to train on.
        test: The clips to test on, if there are any.
        following: The command to suggest once the run is finished.

    Yields:
        The run, and the list of skipped files, to be called with each batch.

    Raises:
        ValueError: If the folder holds another run, or none to resume.
    """
    total = len(train) + (len(test) if test else 0)
    skipped = SkippedFiles(config.run.folder, total=total, max_skipped=config.data.max_skipped)
    clips = {"train": train, "test": test}
    with open_run(config.run, config=config, free=FREE, clips=clips) as run:
        yield run, skipped
        if run.first:
            print(skipped.summary())
            if command := following if run.finished else resume_command():
                print(f"next: {command}")
