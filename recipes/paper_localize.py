r"""Visual sound localization: where in the picture the sound comes from, learnt without boxes.

Paper:
    "Unveiling the Power of Audio-Visual Early Fusion Transformers with Dense Interactions through
    Masked Modeling", arXiv 2312.01017, which ships no code for it. For scale, EZ-VSL (ECCV 2022):
    cIoU with the median cut 39.34 and AUC 39.78 on VGG-SS, 83.94 and 63.60 on Flickr-SoundNet.

Commands:
    python -m recipes.paper_localize            (after python -m recipes.paper_pretrain: minutes)
    python -m recipes.paper_localize vggss --data.root DIR --checkpoint deepavfusion.pth

Scores:
    Shares in per cent, of maps of the own sound, of a stranger's (swapped) and of silence. Beside
    them, of a frozen encoder, what its last fusion looks at (fusion_attention), and two cheats that
    do not look at all: the centre box and the whole image.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from avblocks.data import FrontEnd
from avblocks.data.mismatch import with_strangers
from avblocks.heads import Localizer
from avblocks.tasks.localize import PICTURE, Localization, localization_picture, localization_scores
from recipes.common.cli import run_cli
from recipes.common.data import SCENES_DATA, Data
from recipes.common.loaders import test_loader, train_loader
from recipes.common.model import SMALL
from recipes.common.train import TaskConfig, annotated_sets, seeded_encoder, train_and_test


@dataclass(frozen=True, kw_only=True)
class Config(TaskConfig):
    """Everything a run depends on; the defaults are those of training on VGGSound."""

    batch: int = 128
    """Clips in a batch of one process, each the others' negative."""

    epochs: int = 100
    """Times that every clip is seen."""

    warmup: int = 10
    """Epochs over which the learning rate rises from 0."""

    base_lr: float = 2e-4
    """Learning rate of AdamW for 256 clips an update; it grows with their number."""

    frozen: bool = False
    """Leave the encoder as it is, norm its tokens over a batch, and train two projections alone."""

    joint: bool = False
    """Encode each picture together with its sound, rather than apart."""

    dim_out: int = 512
    """Width of the space that patches and sounds are compared in."""

    temperature: float = 0.03
    """What similarities are divided by in the loss."""


VGGSS = Config(data=Data(name="vggss"), checkpoint=Path("runs/paper_pretrain-vggsound"))
SCENES = Config(
    data=replace(SCENES_DATA, name="scene_boxes", scenes=(960, 120)),
    checkpoint=Path("runs/paper_pretrain-scenes"),
    model=SMALL,
    frozen=True,
    batch=64,
    epochs=40,
    warmup=4,
    base_lr=2e-3,
    temperature=0.07,
)
PRESETS = {
    "scenes": ("scenes made on the spot: minutes on two CPU cores", SCENES),
    "vggss": ("train on VGGSound, test on VGG-SS", VGGSS),
    "flickr": (
        "Flickr-SoundNet: wav and jpg below DIR/train, its annotated test in DIR/test",
        replace(VGGSS, data=Data(name="flickr")),
    ),
}


NAMES = ("scene_boxes", "vggss", "flickr")


def build(config: Config, *, classes: Sequence[str]) -> Localization:
    """Make the model as it is before the encoder starts from a checkpoint."""
    encoder = seeded_encoder(config)
    head = Localizer(config.model.dim, dim_out=config.dim_out, batch_norm=config.frozen)
    return Localization(
        encoder,
        head,
        front_end=FrontEnd(config.data.format),
        frozen=config.frozen,
        joint=config.joint,
        temperature=config.temperature,
    )


def main(config: Config) -> None:
    """Train a localizer; leave scores beside those of two cheats, and heat maps."""
    data, seed = config.data, config.run.seed
    if config.batch < 2:
        raise ValueError("--batch must be at least 2: clips are told from others of their batch")
    train, test = annotated_sets(config, names=NAMES, needs="boxes")
    pairs = with_strangers(test, scenes=data.name == "scene_boxes")
    model = build(config, classes=train.classes)
    rule = "flickr" if data.name == "flickr" else "vggss"
    train_and_test(
        config,
        model,
        train=train,
        test=test,
        train_loader=train_loader(train, data, batch=config.batch, seed=seed),
        test_loader=lambda batch: test_loader(test, data, batch=batch, whole=True, groups=pairs),
        score=partial(localization_scores, model, rule=rule),
        show=partial(localization_picture, model, rule=rule),
        leaves=PICTURE,
        compiled=model.encoder,
    )


if __name__ == "__main__":
    run_cli(main, presets=PRESETS, doc=__doc__)
