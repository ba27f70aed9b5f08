"""`open_training`: the run of a recipe with its clips, evaluations and skipped files."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from torch import nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from avblocks.data import AVBatch, Groups, SkippedFiles
from avblocks.data.datasets import ClipSet
from avblocks.tasks import Scorer, Scores, Task, evaluate, first_batch, first_row
from recipes.common.data_settings import FREE, Data
from recipes.common.evaluation import evaluated
from recipes.common.features import Features
from recipes.common.following import next_command
from recipes.common.foreign import RECORD, record_of
from recipes.common.loaders import train_loader
from recipes.common.optimizer import Schedule
from recipes.common.settings import TrainConfig
from recipes.engine import Logger, OpenRun, open_run
from recipes.engine.command import resume_command


@dataclass(frozen=True, kw_only=True)
class Training:
    """An open run of a recipe, with its settings, training clips and skipped files."""

    config: TrainConfig
    run: OpenRun
    clips: ClipSet
    skipped: SkippedFiles

    def fit(
        self,
        model: Task,
        *,
        optimizer: Optimizer,
        schedule: Schedule,
        scorer: Scorer | None,
        loader: Callable[[], DataLoader[AVBatch]],
        summary: Callable[[Scores], Mapping[str, float]] = first_row,
        groups: Groups | None = None,
        compiled: nn.Module | None = None,
        unused: bool = False,
        whole: bool = False,
    ) -> None:
        """Train a model on the clips, with evaluations; in `evaluating`, only load its weights.

        Args:
            model: The task module.
            optimizer: Optimizer of the model parameters.
            schedule: Function of the epochs done that returns the learning rate of each group.
            scorer: Scorer of the evaluations; `None` for no evaluations.
            loader: Function that makes the loader of an evaluation.
            summary: Function of the scores of an evaluation that returns the numbers to log.
            groups: Groups of clips that form one sample, such as a mixture.
            compiled: The part of the model that `--run.compile` compiles.
            unused: Whether the loss does not depend on some parameters.
            whole: Whether clips without augmentation show whole images instead of center crops.
        """
        config, data = self.config, self.config.data
        if (tested := evaluated()) is not None:
            return self.run.load(model, tested.weights, step=tested.step)
        if (record := record_of(config, model)) is not None:
            self.run.run_config[RECORD] = record
        order = {"batch": config.batch, "seed": config.run.seed}
        with Features(self.run, model, data, on_batch=self.skipped) as features:
            if encodes_once(model, data):
                train = features.train_loader(self.clips, **order, whole=whole)
                loader = features.test_loader(loader(), batch=config.batch)
            else:
                train = train_loader(self.clips, data, groups=groups, whole=whole, **order)
            self.run.fit(
                model,
                train=train,
                optimizer=optimizer,
                schedule=schedule,
                epochs=config.epochs,
                evaluate=(lambda: summary(self.evaluate(scorer, loader(), about="evaluation")))
                if scorer
                else None,
                evaluate_every=config.evaluate_every,
                on_batch=self.skipped,
                compiled=compiled,
                unused=unused,
            )

    def evaluate(
        self, scorer: Scorer, loader: DataLoader[AVBatch], *, about: str = "test"
    ) -> Scores:
        """Score a model in all processes, and list skipped files; `about` labels the progress."""
        return evaluate(scorer, loader, on_batch=self.skipped, about=about)

    def examples(self, model: Task, loader: DataLoader[AVBatch]) -> AVBatch | None:
        """Return the first batch, for figures, in process 0; `None` in other processes."""
        return first_batch(loader, model) if self.run.first else None


def encodes_once(model: Task, data: Data) -> bool:
    """Return whether the features of a clip are equal in every epoch."""
    return getattr(model, "frozen", False) and not data.augment


@contextmanager
def open_training(
    config: TrainConfig,
    *,
    train: ClipSet,
    test: ClipSet | None,
    loggers: Sequence[Logger] = (),
) -> Iterator[Training]:
    """Open the run folder of a recipe; at the end, print skipped files and the next command.

    Args:
        config: The settings of the recipe.
        train: The training clips.
        test: The test clips, if there are any.
        loggers: Your own loggers, see `recipes.engine.Logger`.

    Raises:
        ValueError: If the folder holds another run, or none to resume.
    """
    total = len(train) + (len(test) if test else 0)
    skipped = SkippedFiles(config.run.folder, total=total, max_skipped=config.data.max_skipped)
    clips = {"train": train, "test": test}
    with open_run(config.run, config=config, free=FREE, clips=clips, loggers=loggers) as run:
        yield Training(config=config, run=run, clips=train, skipped=skipped)
        if run.first:
            print(skipped.summary())
            if evaluated() is None:
                following = next_command(config) if run.finished else resume_command()
                run.records.log_files(run.step)
                state = "finished" if run.finished else "not finished"
                run.records.describe(state, step=run.step, following=following)
                print(f"next: {following}")
