r"""Fine-tuning: a whole pre-trained encoder trained on audio events.

Paper:
    "Unveiling the Power of Audio-Visual Early Fusion Transformers with Dense Interactions through
    Masked Modeling", arXiv 2312.01017: 58.19 % top-1 on VGGSound (309 classes).

Commands:
    python -m recipes.paper_finetune              (after python -m recipes.paper_pretrain: minutes)
    python -m recipes.paper_finetune folder --data.root DIR --checkpoint FILE      (DIR/CLASS/*.mp4)
    python -m recipes.paper_finetune vggsound --data.root DIR --checkpoint deepavfusion.pth

Try:
    --checkpoint None --layer-decay 1       (from scratch: what pre-training is worth)
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from avblocks.data import FrontEnd
from avblocks.heads import balanced_bias, classifier
from avblocks.seed import seed_all
from avblocks.tasks.classify import Classification, Listens, clip_frequency, start_biases
from recipes.common.classify import labelled_sets, train_and_score
from recipes.common.cli import run_cli
from recipes.common.data import SCENES_DATA, Data
from recipes.common.model import SMALL, Model, build_encoder, check_sizes
from recipes.common.optimizer import adamw
from recipes.common.start import start_encoder
from recipes.engine.run import Run


@dataclass(frozen=True, kw_only=True)
class Config:
    """Everything a run depends on; the defaults are the paper's on VGGSound."""

    data: Data
    """The clips."""

    checkpoint: Path | None
    """A run folder, a checkpoint in one, or a published file; None: from scratch."""

    model: Model = field(default_factory=Model)
    """The encoder's sizes; those of the decoders are not used."""

    run: Run = field(default_factory=lambda: Run(accumulate=4))
    """Folder, length, hardware, saves."""

    given: Listens = "both"
    """Modalities the encoder is given."""

    pooling: Literal["mean", "attentive"] = "mean"
    """How the tokens of a stream become one vector."""

    batch: int = 32
    """Clips in a batch of one process."""

    epochs: int = 100
    """Times that every clip is seen."""

    warmup: int = 20
    """Epochs over which the learning rate rises from 0."""

    base_lr: float = 3e-4
    """Learning rate of AdamW for 256 clips an update; it grows with their number."""

    layer_decay: float = 0.75
    """Factor on the rate from each layer to the one before it."""

    weight_decay: float = 0.05
    """AdamW's; biases and norms have none."""

    drop_path: float = 0.2
    """Stochastic depth of the encoder's blocks."""

    mixup: float = 1.0
    """Parameter of mixup's beta distribution, one draw a clip for both streams; 0 for none."""

    smoothing: float = 0.1
    """Label smoothing."""

    balanced: bool = True
    """Start the biases at the classes' log odds and divide each class's loss by its frequency."""

    joint: bool = True
    """Take the loss of the averaged logits rather than the mean of the streams' losses."""

    windows: int = 10
    """Windows of a test clip, evenly spread, whose logits are averaged."""

    evaluate_every: int = 10
    """Epochs between evaluations."""


VGGSOUND = Config(data=Data(name="vggsound"), checkpoint=Path("runs/paper_pretrain-vggsound"))
SCENES = Config(
    data=SCENES_DATA,
    checkpoint=Path("runs/paper_pretrain-scenes"),
    model=SMALL,
    run=Run(),
    epochs=20,
    warmup=3,
    base_lr=8e-3,
    drop_path=0.0,
    mixup=0.0,
    smoothing=0.0,
    windows=2,
)
AUDIOSET = replace(
    VGGSOUND,
    data=Data(name="audioset_balanced"),
    checkpoint=Path("runs/paper_pretrain-audioset"),
    model=Model(attn_ratio=1.0, mlp_ratio=4.0),
)
FOLDER = replace(
    VGGSOUND,
    data=Data(name="class_folder", workers=2),
    checkpoint=Path("runs/paper_pretrain-folder"),
    model=Model(dim=384, heads=6),
    run=Run(),
)
PRESETS = {
    "scenes": ("scenes made on the spot: two minutes on two CPU cores", SCENES),
    "folder": ("your own videos, a sub-folder for each class; a fifth is held out", FOLDER),
    "vggsound": ("the paper's: 4 GPUs", VGGSOUND),
    "vggsound_music": (
        "49 classes of music, as vggsound",
        replace(VGGSOUND, data=Data(name="vggsound_music")),
    ),
    "audioset_balanced": ("AudioSet's 20,000 balanced clips", AUDIOSET),
    "audioset": ("AudioSet-2M", replace(AUDIOSET, data=Data(name="audioset"))),
}


def build(config: Config, *, classes: Sequence[str]) -> Classification:
    """Make the model as it is before the encoder starts from a checkpoint."""
    seed_all(config.run.seed, "weights")
    encoder = build_encoder(config.model, config.data, drop_path=config.drop_path)
    seed_all(config.run.seed, "head")
    head = classifier(
        config.model.dim,
        num_classes=len(classes),
        batch_norm=False,
        pooling=config.pooling,
        num_heads=config.model.heads,
    )
    return Classification(
        encoder,
        head,
        front_end=FrontEnd(config.data.format),
        frozen=False,
        given=config.given,
        joint=config.joint,
        multilabel=config.data.multilabel,
        mixup=config.mixup,
        smoothing=config.smoothing,
    )


def main(config: Config) -> None:
    """Train encoder and classifier; leave scores, predictions and pictures."""
    check_sizes(config.model, config.data)
    train, test = labelled_sets(config)
    model = build(config, classes=train.classes)
    start_encoder(model.encoder, config.checkpoint, model=config.model, resume=config.run.resume)
    if config.balanced:
        model.frequency = clip_frequency(train)
        biases = balanced_bias(model.frequency, multilabel=config.data.multilabel)
        start_biases(model.head, biases)
    optimizer, schedule = adamw(model, config, depth=model.encoder.depth, samples=len(train))
    train_and_score(config, model, train=train, test=test, optimizer=optimizer, schedule=schedule)


if __name__ == "__main__":
    run_cli(main, presets=PRESETS, doc=__doc__)
