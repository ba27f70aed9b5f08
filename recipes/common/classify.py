"""What the classification recipes do alike: start, train, evaluate, leave scores and pictures."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

from torch.optim import Optimizer

from avblocks.data.datasets import ClipSet
from avblocks.data.skipped import SkippedFiles
from avblocks.distributed import rank_and_world
from avblocks.metrics import average_precision, class_accuracy, classification_scores
from avblocks.tasks.classify import Classification, Listens
from avblocks.tasks.predictions import Predictions, predict
from recipes.common.data import Data, test_set, train_set
from recipes.common.loaders import test_loader, train_loader
from recipes.common.optimizer import Training, check_warmup
from recipes.common.scores import (
    class_bars,
    confusion_picture,
    score_table,
    write_predictions,
    write_scores,
)
from recipes.common.train_task import train_task

GIVEN: Mapping[Listens, tuple[Listens, ...]] = {
    "both": ("both", "image", "audio"),
    "image": ("image",),
    "audio": ("audio",),
}
"""What a model is tested on, by what it was trained on."""


class Settings(Training, Protocol):
    """What a classification recipe's configuration has besides."""

    @property
    def windows(self) -> int: ...


def labelled_sets(config: Settings) -> tuple[ClipSet, ClipSet]:
    """List the clips to train on and those to test on.

    Raises:
        ValueError: If the data has no classes, or the settings do not fit together.
    """
    check_warmup(config)
    if config.windows < 1 or config.evaluate_every < 1:
        raise ValueError("--windows and --evaluate-every must be at least 1")
    train, test = train_set(config.data), test_set(config.data)
    if test is None or len(train.classes) < 2:
        raise ValueError(f"the data of {train.name} has fewer than two classes to tell apart")
    unlabelled = next((item for item in train.items if not item.labels), None)
    if unlabelled is not None:
        raise ValueError(f"{unlabelled.path}: has no class to learn")
    if train.classes != test.classes:
        raise ValueError(f"{train.name} and {test.name} have different classes")
    return train, test


def train_and_score(
    config: Settings,
    model: Classification,
    *,
    train: ClipSet,
    test: ClipSet,
    optimizer: Optimizer,
    schedule: Callable[[float], Sequence[float]],
) -> None:
    """Train a classifier, then leave its scores, predictions and pictures in the run folder."""
    data = config.data

    def test_on(
        given: Listens, *, windows: int, about: str, skipped: SkippedFiles
    ) -> Predictions | None:
        loader = test_loader(test, data, batch=config.batch, windows=windows)
        classify = partial(model.logits, given=given)
        return predict(classify, loader, on_batch=skipped, about=about)

    def evaluate(skipped: SkippedFiles) -> dict[str, float]:
        found = test_on(model.given, windows=1, about="evaluation", skipped=skipped)
        return _brief(_scores(found, multilabel=data.multilabel))

    def final(skipped: SkippedFiles, folder: Path) -> None:
        found: dict[Listens, Predictions | None] = {
            given: test_on(
                given, windows=config.windows, about=f"test, given {given}", skipped=skipped
            )
            for given in GIVEN[model.given]
        }
        if rank_and_world()[0] == 0:
            report(folder, found, test=test, data=data, windows=config.windows)

    train_task(
        config,
        model,
        train=train,
        test=test,
        loader=train_loader(train, data, batch=config.batch, seed=config.run.seed),
        optimizer=optimizer,
        schedule=schedule,
        evaluate=evaluate,
        final=final,
        compiled=model.encoder,
        unused=model.given != "both",
    )


def report(
    folder: Path,
    found: Mapping[Listens, Predictions | None],
    *,
    test: ClipSet,
    data: Data,
    windows: int,
) -> None:
    """Print the scores, and write them and the pictures into the run folder."""
    scores = {
        given: _scores(predictions, multilabel=data.multilabel)
        for given, predictions in found.items()
    }
    main = next(iter(found.values()))
    if main is None:
        print("nothing scored: none of the test clips can be used")
        return
    facts = {"test": test.report(), "clips": len(main.paths), "windows": windows}
    write_scores(folder, scores, facts=facts)
    write_predictions(folder / "predictions.csv", main, classes=test.classes)
    each = average_precision if data.multilabel else class_accuracy
    label = "average precision, %" if data.multilabel else "accuracy, %"
    values = 100 * each(main.scores["all"], main.target)
    class_bars(folder / "classes.png", values, classes=test.classes, label=label)
    if not data.multilabel:
        confusion_picture(folder / "confusion.png", main, classes=test.classes)
    rows = {
        f"given {given}: {stream}": values
        for given, streams in scores.items()
        for stream, values in streams.items()
    }
    print(f"{score_table(rows)}\nin {folder}: scores.json predictions.csv and pictures")


def _scores(found: Predictions | None, *, multilabel: bool) -> dict[str, dict[str, float]]:
    if found is None:
        return {}
    return {
        stream: classification_scores(scores, found.target, multilabel=multilabel)
        for stream, scores in found.scores.items()
    }


def _brief(scores: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """The first number of each stream."""
    return {
        f"{name}_{stream}": value
        for stream, values in scores.items()
        for name, value in list(values.items())[:1]
    }
