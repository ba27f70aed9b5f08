"""What the recipes of a head on an encoder do alike: settings, start, training, test."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from torch import nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from avblocks import AVEncoder
from avblocks.data import AVBatch, FrontEnd
from avblocks.data.datasets import ClipSet
from avblocks.data.skipped import SkippedFiles
from avblocks.distributed import rank_and_world
from avblocks.seed import seed_all
from recipes.common.data import Data, test_set, train_set
from recipes.common.model import Model, build_encoder, check_sizes
from recipes.common.optimizer import adamw, check_warmup
from recipes.common.scores import score_table, write_scores
from recipes.common.sets import DataName
from recipes.common.start import start_encoder
from recipes.common.train_task import train_task
from recipes.engine.run import Run

OnBatch = Callable[[AVBatch], object]
"""Called with each batch, for instance to count skipped files."""
Scores = Mapping[str, Mapping[str, float]]
"""Numbers by what was tested and by metric; the first row is what the task is about."""


class Score(Protocol):
    """Scores a model on its test batches."""

    def __call__(self, loader: Iterable[AVBatch], on_batch: OnBatch, *, brief: bool) -> Scores:
        """Give the scores, or if brief the first row alone; empty if no clip can be used."""
        ...


@dataclass(frozen=True, kw_only=True)
class TaskConfig:
    """Everything that a run depends on, whatever the task."""

    data: Data
    """The clips to train and to test on."""

    checkpoint: Path | None
    """A run folder, a checkpoint in one, or a published file; None: from scratch."""

    model: Model = field(default_factory=Model)
    """The encoder's sizes; those of the decoders are not used."""

    run: Run = field(default_factory=Run)
    """Folder, length, hardware, saves."""

    batch: int
    """Clips, or groups of clips, in a batch of one process."""

    epochs: int
    """Times that every clip is seen."""

    warmup: int
    """Epochs over which the learning rate rises from 0."""

    base_lr: float
    """Learning rate of AdamW for 256 samples an update; it grows with their number."""

    layer_decay: float = 0.75
    """Factor on the rate from each layer to the one before it."""

    weight_decay: float = 0.05
    """AdamW's; biases and norms have none."""

    drop_path: float = 0.0
    """Stochastic depth of the encoder's blocks."""

    evaluate_every: int = 10
    """Epochs between evaluations."""


class TaskModel(nn.Module):
    """A front end, an encoder and a head, from a batch to its loss."""

    encoder: AVEncoder
    front_end: FrontEnd


def tested(model: TaskModel, loader: Iterable[AVBatch], on_batch: OnBatch) -> Iterator[AVBatch]:
    """Give the batches to test on, on the model's device, without those of which nothing is left.

    Args:
        model: What is tested.
        loader: The batches.
        on_batch: Called with each, for instance to count skipped files.
    """
    for batch in tqdm(loader, "test", unit="batch", leave=False, disable=None):
        on_batch(batch)
        if len(batch):
            yield batch.to(model.encoder.fusion_tokens.device)


def annotated_sets(
    config: TaskConfig, *, names: Collection[DataName], needs: str
) -> tuple[ClipSet, ClipSet]:
    """List the clips to train on and those to test on.

    Args:
        config: The settings.
        names: The data sets that have what the task needs.
        needs: What that is, for the error.

    Raises:
        ValueError: If there is nothing to test on, or the sizes do not fit together.
    """
    check_warmup(config)
    check_sizes(config.model, config.data)
    if config.evaluate_every < 1 or config.batch < 1:
        raise ValueError("--batch and --evaluate-every must be at least 1")
    if config.data.shards is not None:
        raise ValueError("this task reads clips as published: leave --data.shards out")
    if config.data.name not in names:
        raise ValueError(f"--data.name {config.data.name} has no {needs}: {', '.join(names)} have")
    train, test = train_set(config.data), test_set(config.data)
    assert test is not None
    return train, test


def seeded_encoder(config: TaskConfig) -> AVEncoder:
    """Build the encoder from the run's seed, and leave random state for the head."""
    seed_all(config.run.seed, "weights")
    encoder = build_encoder(config.model, config.data, drop_path=config.drop_path)
    seed_all(config.run.seed, "head")
    return encoder


def train_and_test(
    config: TaskConfig,
    model: TaskModel,
    *,
    train: ClipSet,
    test: ClipSet,
    train_loader: Callable[[int, int], DataLoader[AVBatch]],
    test_loader: Callable[[int], DataLoader[AVBatch]],
    score: Score,
    show: Callable[[AVBatch, Path], None],
    leaves: str,
    compiled: nn.Module | None = None,
) -> None:
    """Start the encoder, train, and leave scores and pictures in the run folder.

    Args:
        config: The settings.
        model: Encoder and head.
        train: The clips to train on.
        test: The clips to test on.
        train_loader: From (rank, world size), makes the loader of that process.
        test_loader: From the groups in a batch, makes the loader of what to test on.
        score: From that loader to the scores.
        show: Writes what to look at, or to listen to, of a batch of six into the run folder.
        leaves: Names of the files that it writes.
        compiled: The part that `run.compile` compiles, if there is one: what is called as a whole.

    Raises:
        ValueError: If the settings are wrong.
    """
    if config.run.compile and compiled is None:
        raise ValueError("this task reads every layer by itself: leave --run.compile out")
    start_encoder(model.encoder, config.checkpoint, model=config.model, resume=config.run.resume)
    optimizer, schedule = adamw(model, config, depth=model.encoder.depth, samples=len(train))

    def evaluate(skipped: SkippedFiles) -> Mapping[str, float]:
        return next(iter(score(test_loader(config.batch), skipped, brief=True).values()), {})

    def final(skipped: SkippedFiles, folder: Path) -> None:
        scores = score(test_loader(config.batch), skipped, brief=False)
        if rank_and_world()[0] == 0:
            shown = next((batch for batch in test_loader(6) if len(batch)), None)
            if shown is not None:
                show(shown.to(model.encoder.fusion_tokens.device), folder)
            # The last file of a run, by which others know that it is done.
            write_scores(folder, scores, facts={"test": test.report()})
            print(score_table(scores) or "nothing scored: none of the test clips can be used")
            print(f"in {folder}: scores.json loss.png {leaves}")

    train_task(
        config,
        model,
        train=train,
        test=test,
        loader=train_loader,
        optimizer=optimizer,
        schedule=schedule,
        evaluate=evaluate,
        final=final,
        compiled=compiled,
        unused=True,
    )
