r"""Audio-visual segmentation: predict masks of the sounding objects in an image.

Paper:
    "Unveiling the Power of Audio-Visual Early Fusion Transformers with Dense Interactions through
    Masked Modeling", arXiv 2312.01017: S4 mIoU 89.94 and F 92.34, including the background.

Commands:
    python -m recipes.paper_segment             (after python -m recipes.paper_pretrain: minutes)
    python -m recipes.paper_segment folder --data.root DIR --checkpoint FILE   (DIR/train/masks)
    python -m recipes.paper_segment avsbench_s4 --data.root DIR --checkpoint deepavfusion.pth

    The reference, and so the paper, scores on val (--data.split val) with means over classes and
    images, and F as the mean of the maximum of each image (fscore_per_image). Published numbers of
    AVSBench are on test: miou_avsbench, and fscore_avsbench_20 with the batch size of its test.sh
    (fscore_avsbench: that of its test.py). Those of AVSS are miou_avss and fscore_avss.

Scores:
    mIoU and F, named after their averages, with matched audio, with mismatched audio (of another
    clip) and with silence.

Try:
    --checkpoint None --layer-decay 1       (from scratch, to measure the gain of pre-training)
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from avblocks.heads import segmenter
from avblocks.tasks import Segmentation, SegmentationScorer, segmentation_examples
from avblocks.viz import panel, save_figure
from recipes.common.cli import run_cli
from recipes.common.data import COMPOSED_DATA, SCENES_DATA, Data, train_test_sets
from recipes.common.loaders import example_loader, mismatched, test_loader
from recipes.common.model import COMPOSED_MODEL, SMALL, Model
from recipes.common.optimizer import adamw
from recipes.common.scores import write_scores
from recipes.common.settings import FineTuneConfig
from recipes.common.start import seeded_encoder, start_encoder
from recipes.common.train import open_training


@dataclass(frozen=True, kw_only=True)
class Config(FineTuneConfig):
    """Settings of a run."""

    semantic: bool = False
    """Predict classes instead of a binary mask of sounding objects."""

    negative_audio: float = 0.0
    """Share of the training clips that are made silent or get the audio of another clip, with an
    empty mask, so that the model listens."""

    dice: float = 0.0
    """Weight of a Dice loss, which counts objects in place of pixels, beside the cross entropy."""

    width: int = 128
    """Smallest width of a level of the head, and width of its second-to-last convolution."""


S4 = Config(
    data=Data(name="avsbench_s4"),
    checkpoint=Path("runs/paper_pretrain-vggsound"),
    batch=32,
    epochs=100,
    warmup=20,
    base_lr=2e-4,
)
SCENES = replace(
    S4,
    data=replace(SCENES_DATA, name="scene_masks"),
    checkpoint=Path("runs/paper_pretrain-scenes"),
    model=SMALL,
    width=32,
    epochs=12,
    warmup=2,
    base_lr=8e-3,
    evaluate_every=4,
)
COMPOSED = replace(
    SCENES,
    data=replace(COMPOSED_DATA, name="composed_masks"),
    checkpoint=Path("runs/paper_pretrain-composed"),
    model=COMPOSED_MODEL,
    epochs=20,
    negative_audio=0.3,
    dice=1.0,
)
PRESETS = {
    "scenes": ("synthetic scenes: minutes on two CPU cores", SCENES),
    "composed": ("scenes of recipes.make_scenes: half an hour on two CPU cores", COMPOSED),
    "folder": (
        "your own frames, masks and audio, in DIR/train and DIR/test",
        replace(
            S4,
            data=Data(name="mask_folder"),
            checkpoint=Path("runs/paper_pretrain-folder"),
            model=Model(dim=384, heads=6),
        ),
    ),
    "avsbench_s4": ("the paper's, one source", S4),
    "avsbench_ms3": ("the paper's, several sources", S4.on("avsbench_ms3")),
    "avsbench_avss": ("the paper's, 71 classes", S4.on("avsbench_avss", semantic=True)),
}


def build(config: Config, *, classes: Sequence[str]) -> Segmentation:
    """Build the model, before the encoder is loaded from a checkpoint."""
    encoder = seeded_encoder(config, maps=["image"])
    head = segmenter(
        config.model.dim,
        num_classes=len(classes) if config.semantic else 1,
        patch=config.model.patch,
        num_layers=config.model.depth,
        min_width=config.width,
        hidden=config.width,
    )
    return Segmentation(
        encoder,
        head,
        front_end=config.data.front_end,
        negatives=config.negative_audio,
        dice=config.dice,
    )


def main(config: Config) -> None:
    """Train encoder and head; write scores with each kind of audio, and figures."""
    config.check(compiles=False)
    data = config.data
    if config.semantic and data.name in ("avsbench_s4", "avsbench_ms3"):
        raise ValueError(f"the masks of {data.name} are binary: leave --semantic out")
    train, test = train_test_sets(data, needs="masks")
    if config.semantic and not train.classes:
        raise ValueError(f"{data.root}: --semantic needs the names of the classes, in classes.txt")
    pairs = mismatched(test, data)
    loader = partial(test_loader, test, data, batch=config.batch, whole=True)

    model = build(config, classes=train.classes)
    start_encoder(model.encoder, config)
    optimizer, schedule = adamw(model, config, samples=len(train))

    with open_training(config, train=train, test=test) as training:
        training.fit(
            model,
            optimizer=optimizer,
            schedule=schedule,
            scorer=SegmentationScorer(model, brief=True),
            loader=loader,
            unused=True,
        )
        if training.run.finished:
            with training.run.testing(model):
                scores = training.evaluate(SegmentationScorer(model), loader(groups=pairs))
                few = example_loader(test, data, count=6, groups=pairs, whole=True)
                if batch := training.examples(model, few):
                    masks = segmentation_examples(model, batch)
                    save_figure(panel(masks), config.run.folder / "segmentation.png")
            if training.run.first:
                write_scores(config.run.folder, scores, test=test, leaves="segmentation.png")


if __name__ == "__main__":
    run_cli(main, presets=PRESETS, doc=__doc__)
