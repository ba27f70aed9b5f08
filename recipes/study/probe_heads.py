"""Train and test the heads of the study of probes on the features of one encoder."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from math import gcd
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import torch
from torch.optim import AdamW

from avblocks.data.datasets import ClipSet
from avblocks.heads import classifier
from avblocks.optim import cosine_lr
from avblocks.seed import seed_all
from avblocks.tasks import (
    Classification,
    ClassificationScorer,
    FeatureDataset,
    encode_once,
    evaluate,
    tagged_rows,
)
from avblocks.tasks.evaluate import Given
from recipes.common.data import Data, labels_by_modality
from recipes.common.loaders import dataset, keyed_loader, sharing_loader
from recipes.common.probed import Probed
from recipes.study.probe_settings import Config, Head

Row = dict[str, Any]
POOLING: Mapping[Head, Literal["mean", "attentive"]] = {"linear": "mean", "attentive": "attentive"}
RATES: Mapping[Head, float] = {"linear": 0.05, "attentive": 0.01}
"""Learning rates, by accuracy on scenes: at 0.001, both heads were far from converged."""


def probe_heads(
    probed: Probed, config: Config, clips: tuple[ClipSet, ClipSet], rows: list[Row]
) -> Iterator[Row]:
    """Encode the clips once, then train and test each head."""
    classes, given = len(clips[0].classes), rows[0]["given"]
    task = build(probed, config, classes=classes, head="linear", given=given)
    labels = labels_by_modality(config.data)
    with features(task, probed.data(config.data), config, clips) as (train, test):
        for row in rows:
            seed_all(config.seed, "head")
            task = build(probed, config, classes=classes, head=row["head"], given=given)
            fit(task, train, config, head=row["head"])
            scorer = ClassificationScorer(task)
            evaluate(scorer, sharing_loader(test, _here(config), batch=config.batch))
            found: Row = {"scores": scorer.streams[given]}
            if labels:
                found["labels_by_modality"] = tagged_rows(scorer.predictions, labels)
            yield row | found


def build(
    probed: Probed, config: Config, *, classes: int, head: Head, given: Given
) -> Classification:
    """Build the frozen encoder with a head."""
    dim = probed.encoder.dim
    return Classification(
        probed.encoder,
        classifier(
            dim,
            num_classes=classes,
            pooling=POOLING[head],
            num_heads=gcd(dim, max(dim // 64, 1)),
        ),
        front_end=probed.front_end,
        frozen=True,
        given=given,
        multilabel=config.data.multilabel,
    ).to("cuda" if torch.cuda.is_available() else "cpu")


@contextmanager
def features(
    task: Classification, data: Data, config: Config, clips: tuple[ClipSet, ClipSet]
) -> Iterator[tuple[FeatureDataset, FeatureDataset]]:
    """Encode training and test clips; the files are removed at the end."""
    config.run.folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=config.run.folder, prefix="features-") as folder:
        made = [
            encode_once(
                task,
                sharing_loader(
                    dataset(some, data, train=train, seed=config.seed), data, batch=config.batch
                ),
                folder=Path(folder) / ("train" if train else "test"),
            )
            for some, train in zip(clips, (True, False), strict=True)
        ]
        yield made[0], made[1]


def fit(task: Classification, clips: FeatureDataset, config: Config, *, head: Head) -> None:
    """Train a head on features."""
    lr = config.lr or RATES[head]
    optimizer = AdamW(task.head.parameters(), lr=lr, weight_decay=config.weight_decay)
    loader = keyed_loader(clips, _here(config), config.batch, config.seed, 0, 1)
    batches: Any = loader.batch_sampler
    task.train()
    for number in range(config.epochs):
        for step, batch in enumerate(loader):
            epoch = number + step / len(loader)
            rate = cosine_lr(epoch, lr=lr, epochs=config.epochs, warmup=config.warmup)
            optimizer.param_groups[0]["lr"] = rate
            optimizer.zero_grad()
            task(batch.to(task.device))["loss"].backward()
            optimizer.step()
        for _ in range(len(loader)):
            batches.advance()


def _here(config: Config) -> Data:
    """Return the settings for features, which are read without workers."""
    return replace(config.data, workers=0)
