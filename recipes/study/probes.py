r"""Study: linear and attentive probes on frozen encoders of any supported files.

Each clip is encoded once, with the front end and the clip format that its encoder was trained with;
then a head for each kind of pooling is trained on the tokens. The same heads are trained on an
untrained encoder of the same sizes; the difference is the gain of pre-training.

Commands:
    python -m recipes.study.probes --checkpoint RUN1 RUN2    (scenes: minutes on two CPU cores)
    python -m recipes.study.probes vggsound --data.root DIR --checkpoint FILE1 FILE2
    python -m recipes.study.probes folder --data.root DIR --checkpoint FILE     (DIR/CLASS/*.mp4)

    Checkpoints are runs, folders of recipes.export, and files that avblocks.zoo loads. Encoders of
    one modality are given that one.

Leaves, in the run folder:
    probes.json     scores of each encoder, input modality and head, written one by one
    probes.png      the first score of each

After an interruption, the same command resumes after the last score. Further checkpoints add rows.
The features of one encoder are on disk while it is probed: 4 bytes for each number of its tokens.

Source of the attentive probe: Bardes et al., "Revisiting feature prediction for learning visual
representations from video" (V-JEPA, arXiv 2404.08471); of the norm before the linear layer: MAE.

Try:
    --heads linear
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from math import gcd
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import torch
from torch.optim import AdamW

from avblocks.data.datasets import ClipSet
from avblocks.files import write_text
from avblocks.heads import classifier
from avblocks.jsonfile import read_json
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
from recipes.common.cli import run_cli
from recipes.common.data import FREE, SCENES_DATA, Data, labels_by_modality, train_test_sets
from recipes.common.loaders import dataset, keyed_loader, sharing_loader
from recipes.common.probed import Probed, load_probed
from recipes.common.scores import finite
from recipes.engine.folder import plain
from recipes.engine.provenance import versions
from recipes.engine.resuming import flat
from recipes.engine.run import Folder
from recipes.study.probes_figure import draw, table

Head = Literal["linear", "attentive"]
POOLING: Mapping[Head, Literal["mean", "attentive"]] = {"linear": "mean", "attentive": "attentive"}
Row = dict[str, Any]
RATES: Mapping[Head, float] = {"linear": 0.05, "attentive": 0.01}
"""Learning rates, by accuracy on scenes: at 0.001, both heads were far from converged."""
_KEY = ("checkpoint", "sha256", "given", "start", "head")


@dataclass(frozen=True, kw_only=True)
class Config:
    """Encoders, clips and heads."""

    checkpoint: tuple[Path, ...] = ()
    """Run folders, checkpoints in them, folders of recipes.export, published files."""

    data: Data
    """Data set; the clip format is that of each encoder."""

    run: Folder = field(default_factory=Folder)
    """Folder of the results."""

    heads: tuple[Head, ...] = ("linear", "attentive")
    """Kinds of heads: the mean of the tokens, or a learned query that attends to them."""

    given: tuple[Given, ...] = ("both", "image", "audio")
    """Input modalities, of those that an encoder has."""

    random: bool = True
    """Probe also encoders of the same sizes at their initialization."""

    epochs: int = 60
    """Epochs of a head."""

    warmup: int = 6
    """Warm-up epochs."""

    batch: int = 64
    """Clips per batch."""

    lr: float | None = None
    """Learning rate of AdamW, with a cosine schedule: 0.05 for linear and 0.01 for attentive heads,
    if not given."""

    weight_decay: float = 0.01
    """Weight decay of AdamW."""

    seed: int = 0
    """Seed of the random encoders, the heads and the order of the clips."""


SETS = ("vggsound", "vggsound_music", "vggsounder", "audioset_balanced", "audioset")
PRESETS = {
    "scenes": ("synthetic scenes", Config(data=SCENES_DATA)),
    "folder": (
        "your own videos, a sub-folder for each class; a fifth is held out",
        Config(data=Data(name="class_folder")),
    ),
    **{
        name: (f"{name}, see recipes.paper_linear_probe", Config(data=Data(name=name)))
        for name in SETS
    },
}


def main(config: Config) -> None:
    """Probe what is not probed yet, writing each row when it is known; then the figure."""
    if not config.checkpoint or config.batch < 2 or not 0 <= config.warmup < config.epochs:
        raise ValueError(
            "give --checkpoint A B ..., a --batch of 2 or more, and --warmup < --epochs"
        )
    clips = train_test_sets(config.data, needs="classes")
    path = config.run.folder / "probes.json"
    rows = earlier(path, config)
    for checkpoint in dict.fromkeys(config.checkpoint):
        for row in probe(load_probed(checkpoint, config.data), config, clips, rows):
            rows.append(row)
            content = {"rows": rows, "settings": settings(config), "versions": versions()}
            write_text(path, json.dumps(finite(content), indent=2) + "\n")
    print(table(rows))
    draw(rows, path.with_suffix(".png"))
    print(f"in {path.parent}: {path.name} {path.stem}.png")


def settings(config: Config) -> dict[str, Any]:
    """Return the settings that all rows share."""
    values = flat(plain(config))
    free = (*FREE, "heads", "given", "random", "run.dir")
    return {name: value for name, value in values.items() if name not in free}


def earlier(path: Path, config: Config) -> list[Row]:
    """Read the rows of a file of these settings, if there is one."""
    if not path.is_file():
        return []
    found = read_json(path, {"rows": [dict], "settings": dict}, remedy="delete it")
    if found["settings"] != settings(config):
        raise ValueError(f"{path} is of other settings: delete it, or pass another --run.dir")
    return found["rows"]


def probe(
    probed: Probed, config: Config, clips: tuple[ClipSet, ClipSet], rows: list[Row]
) -> Iterator[Row]:
    """Yield the rows of an encoder, and of one at its initialization, that are missing."""
    done = {tuple(row[name] for name in _KEY) for row in rows}
    starts = ("checkpoint", "random") if config.random else ("checkpoint",)
    for start in starts:
        for given in (one for one in probed.given if one in config.given):
            about: Row = {"checkpoint": str(probed.path), "sha256": probed.sha256}
            about |= {"kind": probed.kind, "parameters": probed.parameters}
            about |= {"start": start, "given": given}
            missing = [about | {"head": head} for head in config.heads]
            missing = [row for row in missing if tuple(row[name] for name in _KEY) not in done]
            if missing:
                chosen = probed.untrained(config.seed) if start == "random" else probed
                yield from probe_heads(chosen, config, clips, missing)


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


if __name__ == "__main__":
    run_cli(main, presets=PRESETS, doc=__doc__)
