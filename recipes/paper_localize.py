r"""Visual sound localization: find the source of the audio in an image, trained without boxes.

Paper:
    "Unveiling the Power of Audio-Visual Early Fusion Transformers with Dense Interactions through
    Masked Modeling", arXiv 2312.01017, which has no code for it. For comparison, EZ-VSL (ECCV
    2022): cIoU at the median 39.34 and AUC 39.78 on VGG-SS, 83.94 and 63.60 on Flickr-SoundNet.

Commands:
    python -m recipes.paper_localize            (after python -m recipes.paper_pretrain: minutes)
    python -m recipes.paper_localize folder --data.root DIR --checkpoint FILE  (DIR/boxes.csv)
    python -m recipes.paper_localize vggss --data.root DIR --checkpoint deepavfusion.pth

Try (of the preset scenes, for clips of which many have the same kind of audio; slower):
    --frozen --data.no-augment --local 2 --patches 0.5 --negatives 16 --positives 0.2 \
        --hidden 256 --beta2 0.95 --starts 4

Scores:
    Success rates in percent of maps with matched audio, with mismatched audio (of another clip),
    with silence and with noise; with a frozen encoder, also of the attention of its last fusion
    layer (fusion_attention); and of two baselines without input: the center box and the whole
    image. On scenes, also with audio of an object off screen; on scenes and IS3, the images of
    which both objects are found, each by its audio (iiou). Extended test sets, with images without
    a source, have their average precision and max F1 (extended_ap, extended_max_f1).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from avblocks.heads import Localizer, Starts
from avblocks.tasks import (
    Localization,
    LocalizationScorer,
    TwoSourceScorer,
    localization_examples,
)
from avblocks.viz import panel, save_figure
from recipes.common.cli import run_cli
from recipes.common.data import COMPOSED_DATA, SCENES_DATA, Data, train_test_sets
from recipes.common.loaders import (
    example_loader,
    mismatched,
    off_screen_loader,
    test_loader,
    two_source_loader,
)
from recipes.common.model import COMPOSED_MODEL, SMALL, Model
from recipes.common.optimizer import adamw
from recipes.common.scores import write_scores
from recipes.common.sets import DataName
from recipes.common.settings import FineTuneConfig
from recipes.common.start import seeded_encoder, start_encoder
from recipes.common.train import open_training


@dataclass(frozen=True, kw_only=True)
class Config(FineTuneConfig):
    """Settings of a run."""

    frozen: bool = False
    """Freeze the encoder, normalize its tokens over the batch, and train only two projections."""

    joint: bool = False
    """Encode image and audio together instead of separately."""

    dim_out: int = 512
    """Width of the projections of patches and audio."""

    temperature: float = 0.03
    """Divisor of the similarities in the loss."""

    local: int = 0
    """Layers in which each patch is encoded by itself, so that a location in the map is one in the
    image; 0 to encode whole images in all layers."""

    patches: float = 1.0
    """Fraction of the patches of each image, drawn anew in each step, in the loss."""

    negatives: int = 0
    """Silent and noisy audio that is added to the negatives of a batch (SSL-SaN, 2025)."""

    positives: float = 0.0
    """Share of the pairs of training clips whose audio counts as alike, found without labels
    (semantic positives: SSL-Align, ICCV 2023); needs `--frozen` and `--data.no-augment`."""

    beta2: float = 0.999
    """Decay of AdamW's mean of squared gradients; 0.95 avoids poor minima of a frozen encoder's
    head."""

    starts: int = 1
    """Heads that are trained together from different initial weights; the one with the least
    training loss answers."""

    hidden: int = 0
    """Hidden width of an MLP that projects mean and deviation of the audio tokens; 0 to project
    their mean linearly."""

    mirror: bool = False
    """Average the maps of an image and of its mirror image; with `--frozen` and
    `--data.no-augment`, also train on both."""

    def check(self, *, compiles: bool = True) -> None:
        """Check that the settings are consistent, see `TrainConfig.check`."""
        super().check(compiles=compiles)
        if self.batch < 2:
            raise ValueError("--batch must be at least 2: other clips of a batch are the negatives")
        if self.starts < 1:
            raise ValueError(f"--starts must be at least 1, got {self.starts}")
        if not 0 <= self.local <= self.model.depth:
            raise ValueError(f"--local must be from 0 to {self.model.depth}, got {self.local}")
        if self.joint and (self.local or self.mirror):
            raise ValueError(
                "--local and --mirror encode images alone: with --joint, give --local 0 and "
                "--no-mirror"
            )
        if self.positives and not (self.frozen and not self.data.augment):
            raise ValueError(
                "--positives compares all clips: it needs --frozen and --data.no-augment, or give "
                "--positives 0"
            )


VGGSS = Config(
    data=Data(name="vggss"),
    checkpoint=Path("runs/paper_pretrain-vggsound"),
    batch=128,  # all clips of a batch are negatives of each other
    epochs=100,
    warmup=10,
    base_lr=2e-4,
)
SCENES = replace(
    VGGSS,
    data=replace(SCENES_DATA, name="scene_boxes", scenes=(960, 120), augment=False),
    checkpoint=Path("runs/paper_pretrain-scenes"),
    model=SMALL,
    frozen=True,
    batch=64,
    epochs=60,
    warmup=6,
    base_lr=8e-3,
    temperature=0.07,
    local=2,
    patches=0.5,
    negatives=16,
    positives=0.2,
    hidden=256,
    starts=4,
    beta2=0.95,
)
COMPOSED = replace(
    SCENES,
    data=replace(COMPOSED_DATA, name="composed_boxes", augment=False),
    checkpoint=Path("runs/paper_pretrain-composed"),
    model=COMPOSED_MODEL,
    local=3,
    mirror=True,
)
_PUBLISHED: dict[DataName, str] = {
    "vggss": "train on VGGSound, test on VGG-SS",
    "flickr": "Flickr-SoundNet: wav and jpg below DIR/train, its annotated test in DIR/test",
    "music_duet": "MUSIC: wav, jpg below DIR/train, the annotated frames of duets in DIR/test",
    "vggss_plus_silent": "vggss, tested on Extended VGG-SS, with images without a source",
    "flickr_plus_silent": "flickr, tested on Extended Flickr-SoundNet",
    "is3": "IS3, two sources an image, in DIR/test; wav and jpg to train on below DIR/train",
    "vpo_ss": "VPO-SS, laid out as is3",
    "vpo_ms": "VPO-MS, laid out as is3",
}
FOLDER = replace(
    VGGSS,
    data=Data(name="box_folder"),
    checkpoint=Path("runs/paper_pretrain-folder"),
    model=Model(dim=384, heads=6),
)
PRESETS = {
    "scenes": ("synthetic scenes: minutes on two CPU cores", SCENES),
    "composed": ("scenes of recipes.make_scenes: minutes on two CPU cores", COMPOSED),
    "folder": (
        "your own videos: those that DIR/boxes.csv lists for the test, the others for training",
        FOLDER,
    ),
    **{name: (about, VGGSS.on(name)) for name, about in _PUBLISHED.items()},
}


def build(config: Config, *, classes: Sequence[str]) -> Localization:
    """Build the model, before the encoder is loaded from a checkpoint."""
    encoder = seeded_encoder(config, maps=["image"])
    widths = {"dim_out": config.dim_out, "hidden": config.hidden}
    heads = [
        Localizer(config.model.dim, batch_norm=config.frozen, **widths)
        for _ in range(config.starts)
    ]
    return Localization(
        encoder,
        Starts(heads) if config.starts > 1 else heads[0],
        front_end=config.data.front_end,
        frozen=config.frozen,
        joint=config.joint,
        temperature=config.temperature,
        local=config.local,
        patches=config.patches,
        negatives=config.negatives,
        positives=config.positives,
        mirror=config.mirror,
    )


def main(config: Config) -> None:
    """Train a localizer; write scores, also of two baselines, and heat maps."""
    config.check()
    data, rule = config.data, "flickr" if config.data.name.startswith("flickr") else "vggss"
    train, test = train_test_sets(data, needs="boxes")
    pairs = mismatched(test, data)
    loader = partial(test_loader, test, data, batch=config.batch, whole=True)

    model = build(config, classes=train.classes)
    start_encoder(model.encoder, config)
    optimizer, schedule = adamw(model, config, samples=len(train), beta2=config.beta2)

    with open_training(config, train=train, test=test) as training:
        training.fit(
            model,
            optimizer=optimizer,
            schedule=schedule,
            scorer=LocalizationScorer(model, rule=rule, brief=True),
            loader=loader,
            compiled=model.encoder,
            unused=True,
            whole=True,
        )
        if training.run.finished:
            with training.run.testing(model):
                scorer = LocalizationScorer(model, rule=rule)
                scores = dict(training.evaluate(scorer, loader(groups=pairs)))
                if absent := off_screen_loader(test, data, batch=config.batch):
                    scorer = LocalizationScorer(model, rule=rule, off_screen=True)
                    scores |= training.evaluate(scorer, absent, about="off-screen audio")
                if groups := two_source_loader(test, data, batch=config.batch):
                    scorer = TwoSourceScorer(model, rule=rule)
                    scores |= training.evaluate(scorer, groups, about="two sources")
                few = example_loader(test, data, count=6, groups=pairs, whole=True)
                if batch := training.examples(model, few):
                    maps = localization_examples(model, batch, rule=rule)
                    save_figure(panel(maps), config.run.folder / "maps.png")
            if training.run.first:
                write_scores(config.run.folder, scores, test=test, leaves="maps.png")


if __name__ == "__main__":
    run_cli(main, presets=PRESETS, doc=__doc__)
