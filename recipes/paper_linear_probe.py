r"""Linear probe: classify audio events with a linear layer on a frozen encoder.

Paper:
    "Unveiling the Power of Audio-Visual Early Fusion Transformers with Dense Interactions through
    Masked Modeling", arXiv 2312.01017: 53.08% top-1 on VGGSound (309 classes).

Commands:
    python -m recipes.paper_linear_probe          (after python -m recipes.paper_pretrain: a minute)
    python -m recipes.paper_linear_probe folder --data.root DIR --checkpoint FILE  (DIR/CLASS/*.mp4)
    python -m recipes.paper_linear_probe vggsound --data.root DIR --checkpoint deepavfusion.pth

Try:
    --pooling attentive
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from avblocks.heads import classifier
from avblocks.optim import LARS, cosine_lr
from avblocks.tasks import Classification, ClassificationScorer
from avblocks.tasks.classify import TESTED
from recipes.common.cli import run_cli
from recipes.common.data import COMPOSED_DATA, SCENES_DATA, Data, train_test_sets
from recipes.common.loaders import test_loader
from recipes.common.model import COMPOSED_MODEL, SMALL, Model
from recipes.common.optimizer import peak_lr
from recipes.common.scores import brief, write_classes
from recipes.common.settings import ClassifyConfig
from recipes.common.start import seeded_encoder, start_encoder
from recipes.common.train import open_training
from recipes.engine import Run


@dataclass(frozen=True, kw_only=True)
class Config(ClassifyConfig):
    """Settings of a run."""


VGGSOUND = Config(
    data=Data(name="vggsound"),
    checkpoint=Path("runs/paper_pretrain-vggsound"),
    run=Run(accumulate=4),
    batch=64,
    epochs=60,
    warmup=10,
    base_lr=0.3,
)
SCENES = replace(
    VGGSOUND,
    data=SCENES_DATA,
    checkpoint=Path("runs/paper_pretrain-scenes"),
    model=SMALL,
    run=Run(),
    batch=32,
    base_lr=100.0,  # LARS moves a weight by 0.001 of its norm per step, and there are 420 steps
)
COMPOSED = replace(
    SCENES,
    data=COMPOSED_DATA,
    checkpoint=Path("runs/paper_pretrain-composed"),
    model=COMPOSED_MODEL,
    joint=False,  # a probe of each stream
)
AUDIOSET = VGGSOUND.on(
    "audioset_balanced",
    checkpoint=Path("runs/paper_pretrain-audioset"),
    model=Model(attn_ratio=1.0, mlp_ratio=4.0),
    run=Run(),
    batch=256,
    epochs=300,
    warmup=20,
)
FOLDER = replace(
    VGGSOUND,
    data=Data(name="class_folder"),
    checkpoint=Path("runs/paper_pretrain-folder"),
    model=Model(dim=384, heads=6),
    run=Run(),
    base_lr=10.0,  # a few hundred clips result in few steps
)
PRESETS = {
    "scenes": ("synthetic scenes: a minute on two CPU cores", SCENES),
    "composed": ("scenes of recipes.make_scenes: minutes on two CPU cores", COMPOSED),
    "folder": ("your own videos, a sub-folder for each class; a fifth is held out", FOLDER),
    "vggsound": ("the paper's: 4 GPUs", VGGSOUND),
    "vggsound_music": ("49 classes of music, as vggsound", VGGSOUND.on("vggsound_music")),
    "vggsounder": ("VGGSound, tested with VGGSounder's labels", VGGSOUND.on("vggsounder")),
    "audioset_balanced": ("the paper's on AudioSet's 20,000 balanced clips: 2 GPUs", AUDIOSET),
    "audioset": ("AudioSet-2M", AUDIOSET.on("audioset", epochs=60)),
}


def build(config: Config, *, classes: Sequence[str]) -> Classification:
    """Build the model, before the encoder is loaded from a checkpoint."""
    encoder = seeded_encoder(config)
    head = classifier(
        config.model.dim,
        num_classes=len(classes),
        pooling=config.pooling,
        num_heads=config.model.heads,
    )
    return Classification(
        encoder,
        head,
        front_end=config.data.front_end,
        frozen=True,
        given=config.given,
        joint=config.joint,
        multilabel=config.data.multilabel,
    )


def main(config: Config) -> None:
    """Train a classifier on a frozen encoder; write scores, predictions and figures."""
    config.check()
    if config.batch < 2:
        raise ValueError(
            "--batch must be at least 2: the head normalizes over the clips of a batch"
        )
    data = config.data
    train, test = train_test_sets(data, needs="classes")
    loader = partial(test_loader, test, data, batch=config.batch)

    model = build(config, classes=train.classes)
    start_encoder(model.encoder, config)
    lr = peak_lr(config, samples=len(train))
    rate = partial(cosine_lr, lr=lr, epochs=config.epochs, warmup=config.warmup)

    with open_training(config, train=train, test=test) as training:
        training.fit(
            model,
            optimizer=LARS(model.head.parameters(), lr=lr, weight_decay=0.0),
            schedule=lambda epoch: [rate(epoch)],
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
