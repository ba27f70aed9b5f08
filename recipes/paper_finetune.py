r"""Fine-tuning: classify audio events by training the whole pre-trained encoder.

Paper:
    "Unveiling the Power of Audio-Visual Early Fusion Transformers with Dense Interactions through
    Masked Modeling", arXiv 2312.01017: 58.19% top-1 on VGGSound (309 classes).

Commands:
    python -m recipes.paper_finetune              (after python -m recipes.paper_pretrain: minutes)
    python -m recipes.paper_finetune folder --data.root DIR --checkpoint FILE      (DIR/CLASS/*.mp4)
    python -m recipes.paper_finetune vggsound --data.root DIR --checkpoint deepavfusion.pth

Try:
    --checkpoint None --layer-decay 1       (from scratch, to measure the gain of pre-training)
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from avblocks.heads import balanced_bias, classifier
from avblocks.tasks import (
    Classification,
    ClassificationScorer,
    clip_frequency,
    start_biases,
)
from avblocks.tasks.classify import TESTED
from recipes.common.cli import run_cli
from recipes.common.data import COMPOSED_DATA, SCENES_DATA, Data, train_test_sets
from recipes.common.loaders import test_loader
from recipes.common.model import COMPOSED_MODEL, SMALL, Model
from recipes.common.optimizer import adamw
from recipes.common.scores import brief, write_classes
from recipes.common.settings import ClassifyConfig, FineTuneConfig
from recipes.common.start import seeded_encoder, start_encoder
from recipes.common.train import open_training
from recipes.engine import Run


@dataclass(frozen=True, kw_only=True)
class Config(ClassifyConfig, FineTuneConfig):
    """Settings of a run."""

    mixup: float = 0.0
    """Parameter of the beta distribution of mixup, drawn once per clip; 0 for none."""

    cutmix: float = 0.0
    """Parameter of the beta distribution of CutMix, in place of mixup: a rectangle of another
    image, with its share of the audio and of the target."""

    smoothing: float = 0.0
    """Label smoothing."""

    balanced: bool = True
    """Initialize biases with the log odds of the classes, and divide losses by class frequency."""

    left_out: float = 0.0
    """Share of the training clips whose image or audio is left out, so that the classifier also
    works with one of them."""


VGGSOUND = Config(
    data=Data(name="vggsound"),
    checkpoint=Path("runs/paper_pretrain-vggsound"),
    run=Run(accumulate=4),
    batch=32,
    epochs=100,
    warmup=20,
    base_lr=3e-4,
    drop_path=0.2,
    mixup=1.0,
    smoothing=0.1,
    windows=10,
)
SCENES = Config(
    data=SCENES_DATA,
    checkpoint=Path("runs/paper_pretrain-scenes"),
    model=SMALL,
    batch=32,
    epochs=20,
    warmup=3,
    base_lr=8e-3,
    windows=2,
)
COMPOSED = replace(
    SCENES,
    data=COMPOSED_DATA,
    checkpoint=Path("runs/paper_pretrain-composed"),
    model=COMPOSED_MODEL,
    epochs=60,
    base_lr=5.3e-3,
    joint=False,
    left_out=0.5,
    cutmix=0.5,
    pooling="attentive",
)
AUDIOSET = VGGSOUND.on(
    "audioset_balanced",
    checkpoint=Path("runs/paper_pretrain-audioset"),
    model=Model(attn_ratio=1.0, mlp_ratio=4.0),
)
FOLDER = replace(
    VGGSOUND,
    data=Data(name="class_folder"),
    checkpoint=Path("runs/paper_pretrain-folder"),
    model=Model(dim=384, heads=6),
    run=Run(),
)
PRESETS = {
    "scenes": ("synthetic scenes: two minutes on two CPU cores", SCENES),
    "composed": ("scenes of recipes.make_scenes: half an hour on two CPU cores", COMPOSED),
    "folder": ("your own videos, a sub-folder for each class; a fifth is held out", FOLDER),
    "vggsound": ("the paper's: 4 GPUs", VGGSOUND),
    "vggsound_music": ("49 classes of music, as vggsound", VGGSOUND.on("vggsound_music")),
    "vggsounder": ("VGGSound, tested with VGGSounder's labels", VGGSOUND.on("vggsounder")),
    "audioset_balanced": ("AudioSet's 20,000 balanced clips", AUDIOSET),
    "audioset": ("AudioSet-2M", AUDIOSET.on("audioset")),
}


def build(config: Config, *, classes: Sequence[str]) -> Classification:
    """Build the model, before the encoder is loaded from a checkpoint."""
    encoder = seeded_encoder(config)
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
        front_end=config.data.front_end,
        given=config.given,
        joint=config.joint,
        multilabel=config.data.multilabel,
        mixup=config.mixup,
        cutmix=config.cutmix,
        smoothing=config.smoothing,
        left_out=config.left_out,
    )


def main(config: Config, *, adapt: Callable[[Classification], object] = lambda task: None) -> None:
    """Train encoder and classifier; write scores, predictions and figures.

    Args:
        config: The settings.
        adapt: Function that changes the model after its encoder is loaded from the checkpoint.
    """
    config.check()
    data = config.data
    train, test = train_test_sets(data, needs="classes")
    loader = partial(test_loader, test, data, batch=config.batch)

    model = build(config, classes=train.classes)
    start_encoder(model.encoder, config)
    adapt(model)
    if config.balanced:
        model.frequency = clip_frequency(train)
        start_biases(model.head, balanced_bias(model.frequency, multilabel=data.multilabel))
    optimizer, schedule = adamw(model, config, samples=len(train))

    with open_training(config, train=train, test=test) as training:
        training.fit(
            model,
            optimizer=optimizer,
            schedule=schedule,
            scorer=ClassificationScorer(model),
            summary=brief,
            loader=loader,
            compiled=model.encoder,
            unused=config.given != "both" or model.encoder.fusion_tokens.numel() == 0,
        )
        if training.run.finished:
            scorer = ClassificationScorer(model, given=TESTED[config.given])
            with training.run.testing(model):
                training.evaluate(scorer, loader(windows=config.windows))
            if training.run.first:
                write_classes(config.run.folder, scorer, test=test, config=config)


if __name__ == "__main__":
    run_cli(main, presets=PRESETS, doc=__doc__)
