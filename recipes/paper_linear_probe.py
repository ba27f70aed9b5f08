r"""Linear probe: what a frozen, pre-trained encoder knows of audio events.

Paper:
    "Unveiling the Power of Audio-Visual Early Fusion Transformers with Dense Interactions through
    Masked Modeling", arXiv 2312.01017: 53.08 % top-1 on VGGSound (309 classes).

Commands:
    python -m recipes.paper_linear_probe          (after python -m recipes.paper_pretrain: a minute)
    python -m recipes.paper_linear_probe folder --data.root DIR --checkpoint FILE  (DIR/CLASS/*.mp4)
    python -m recipes.paper_linear_probe vggsound --data.root DIR --checkpoint deepavfusion.pth

Try:
    --pooling attentive
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal

from avblocks.data import FrontEnd
from avblocks.heads import classifier
from avblocks.optim import LARS, cosine_lr
from avblocks.seed import seed_all
from avblocks.tasks.classify import Classification, Listens
from recipes.common.classify import labelled_sets, train_and_score
from recipes.common.cli import run_cli
from recipes.common.data import SCENES_DATA, Data
from recipes.common.model import SMALL, Model, build_encoder, check_sizes
from recipes.common.optimizer import peak_lr
from recipes.common.start import start_encoder
from recipes.engine.run import Run


@dataclass(frozen=True, kw_only=True)
class Config:
    """Everything a run depends on; the defaults are the paper's on VGGSound."""

    data: Data
    """The clips."""

    checkpoint: Path | None
    """A run folder, a checkpoint in one, or a published file; None: a random encoder."""

    model: Model = field(default_factory=Model)
    """The encoder's sizes; those of the decoders are not used."""

    run: Run = field(default_factory=lambda: Run(accumulate=4))
    """Folder, length, hardware, saves."""

    given: Listens = "both"
    """Modalities the encoder is given."""

    pooling: Literal["mean", "attentive"] = "mean"
    """How the tokens of a stream become one vector."""

    batch: int = 64
    """Clips in a batch of one process."""

    epochs: int = 60
    """Times that every clip is seen."""

    warmup: int = 10
    """Epochs over which the learning rate rises from 0."""

    base_lr: float = 0.3
    """Learning rate of LARS for 256 clips an update; it grows with their number."""

    windows: int = 1
    """Windows of a test clip, evenly spread, whose logits are averaged."""

    evaluate_every: int = 10
    """Epochs between evaluations."""


VGGSOUND = Config(data=Data(name="vggsound"), checkpoint=Path("runs/paper_pretrain-vggsound"))
SCENES = Config(
    data=SCENES_DATA,
    checkpoint=Path("runs/paper_pretrain-scenes"),
    model=SMALL,
    run=Run(),
    batch=32,
    base_lr=100.0,  # LARS moves a weight by 0.001 of its norm a step, and here are 420 steps only
)
AUDIOSET = replace(
    VGGSOUND,
    data=Data(name="audioset_balanced"),
    checkpoint=Path("runs/paper_pretrain-audioset"),
    model=Model(attn_ratio=1.0, mlp_ratio=4.0),
    run=Run(),
    batch=256,
    epochs=300,
    warmup=20,
)
FOLDER = replace(
    VGGSOUND,
    data=Data(name="class_folder", workers=2),
    checkpoint=Path("runs/paper_pretrain-folder"),
    model=Model(dim=384, heads=6),
    run=Run(),
    base_lr=10.0,  # a few hundred clips are few steps
)
PRESETS = {
    "scenes": ("scenes made on the spot: a minute on two CPU cores", SCENES),
    "folder": ("your own videos, a sub-folder for each class; a fifth is held out", FOLDER),
    "vggsound": ("the paper's: 4 GPUs", VGGSOUND),
    "vggsound_music": (
        "49 classes of music, as vggsound",
        replace(VGGSOUND, data=Data(name="vggsound_music")),
    ),
    "audioset_balanced": ("the paper's on AudioSet's 20,000 balanced clips: 2 GPUs", AUDIOSET),
    "audioset": ("AudioSet-2M", replace(AUDIOSET, data=Data(name="audioset"), epochs=60)),
}


def build(config: Config, *, classes: Sequence[str]) -> Classification:
    """Make the model as it is before the encoder starts from a checkpoint."""
    seed_all(config.run.seed, "weights")
    encoder = build_encoder(config.model, config.data)
    seed_all(config.run.seed, "head")
    head = classifier(
        config.model.dim,
        num_classes=len(classes),
        pooling=config.pooling,
        num_heads=config.model.heads,
    )
    return Classification(
        encoder,
        head,
        front_end=FrontEnd(config.data.format),
        frozen=True,
        given=config.given,
        multilabel=config.data.multilabel,
    )


def main(config: Config) -> None:
    """Train a classifier on a frozen encoder; leave scores, predictions and pictures."""
    check_sizes(config.model, config.data)
    train, test = labelled_sets(config)
    model = build(config, classes=train.classes)
    start_encoder(model.encoder, config.checkpoint, model=config.model, resume=config.run.resume)
    lr = peak_lr(config, samples=len(train))
    optimizer = LARS(model.head.parameters(), lr=lr, weight_decay=0.0)
    rate = partial(cosine_lr, lr=lr, epochs=config.epochs, warmup=config.warmup)
    train_and_score(
        config,
        model,
        train=train,
        test=test,
        optimizer=optimizer,
        schedule=lambda epoch: [rate(epoch)],
    )


if __name__ == "__main__":
    run_cli(main, presets=PRESETS, doc=__doc__)
