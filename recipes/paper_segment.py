r"""Audio-visual segmentation: which pixels sound.

Paper:
    "Unveiling the Power of Audio-Visual Early Fusion Transformers with Dense Interactions through
    Masked Modeling", arXiv 2312.01017: S4 mIoU 89.94 and F 92.34, means over the background too.

Commands:
    python -m recipes.paper_segment             (after python -m recipes.paper_pretrain: minutes)
    python -m recipes.paper_segment avsbench_s4 --data.root DIR --checkpoint deepavfusion.pth

Scores:
    mIoU and F under the names of what they average, with each picture's own sound, with that of a
    stranger (swapped) and with silence.

Try:
    --checkpoint None --layer-decay 1                 (from scratch: what pre-training is worth)
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from avblocks.data import FrontEnd
from avblocks.data.mismatch import with_strangers
from avblocks.heads import segmenter
from avblocks.tasks.segment import PICTURE, Segmentation, segmentation_picture, segmentation_scores
from recipes.common.cli import run_cli
from recipes.common.data import SCENES_DATA, Data
from recipes.common.loaders import test_loader, train_loader
from recipes.common.model import SMALL
from recipes.common.train import TaskConfig, annotated_sets, seeded_encoder, train_and_test


@dataclass(frozen=True, kw_only=True)
class Config(TaskConfig):
    """Everything a run depends on; the defaults are the paper's on AVSBench S4."""

    batch: int = 32
    """Pictures in a batch of one process."""

    epochs: int = 100
    """Times that every picture is seen."""

    warmup: int = 20
    """Epochs over which the learning rate rises from 0."""

    base_lr: float = 2e-4
    """Learning rate of AdamW for 256 pictures an update; it grows with their number."""

    semantic: bool = False
    """Tell classes apart, rather than what sounds from what does not."""

    width: int = 128
    """Fewest channels of a level of the head, and of its last but one convolution."""


S4 = Config(data=Data(name="avsbench_s4"), checkpoint=Path("runs/paper_pretrain-vggsound"))
SCENES = Config(
    data=replace(SCENES_DATA, name="scene_masks"),
    checkpoint=Path("runs/paper_pretrain-scenes"),
    model=SMALL,
    width=32,
    epochs=12,
    warmup=2,
    base_lr=8e-3,
    evaluate_every=4,
)
PRESETS = {
    "scenes": ("scenes made on the spot: minutes on two CPU cores", SCENES),
    "avsbench_s4": ("the paper's, one source", S4),
    "avsbench_ms3": ("the paper's, several sources", replace(S4, data=Data(name="avsbench_ms3"))),
    "avsbench_avss": (
        "the paper's, 71 classes",
        replace(S4, data=Data(name="avsbench_avss"), semantic=True),
    ),
}


NAMES = ("scene_masks", "avsbench_s4", "avsbench_ms3", "avsbench_avss")


def build(config: Config, *, classes: Sequence[str]) -> Segmentation:
    """Make the model as it is before the encoder starts from a checkpoint."""
    encoder = seeded_encoder(config)
    head = segmenter(
        config.model.dim,
        num_classes=len(classes) if config.semantic else 1,
        patch=config.model.patch,
        num_layers=config.model.depth,
        min_width=config.width,
        hidden=config.width,
    )
    return Segmentation(encoder, head, front_end=FrontEnd(config.data.format))


def main(config: Config) -> None:
    """Train encoder and head; leave scores with each sound, and pictures."""
    data, seed = config.data, config.run.seed
    if config.semantic and data.name in ("avsbench_s4", "avsbench_ms3"):
        raise ValueError(f"the masks of {data.name} are binary: leave --semantic out")
    train, test = annotated_sets(config, names=NAMES, needs="masks")
    pairs = with_strangers(test, scenes=data.name == "scene_masks")
    model = build(config, classes=train.classes)
    train_and_test(
        config,
        model,
        train=train,
        test=test,
        train_loader=train_loader(train, data, batch=config.batch, seed=seed),
        test_loader=lambda batch: test_loader(test, data, batch=batch, whole=True, groups=pairs),
        score=partial(segmentation_scores, model),
        show=partial(segmentation_picture, model),
        leaves=PICTURE,
    )


if __name__ == "__main__":
    run_cli(main, presets=PRESETS, doc=__doc__)
