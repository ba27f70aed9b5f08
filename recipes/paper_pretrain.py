r"""Masked audio-visual pre-training of an early-fusion transformer (DeepAVFusion, CVPR 2024).

Paper:
    "Unveiling the Power of Audio-Visual Early Fusion Transformers with Dense Interactions through
    Masked Modeling", arXiv 2312.01017.

Commands:
    python -m recipes.paper_pretrain                            (two CPU cores, about 4 minutes)
    python -m recipes.paper_pretrain folder --data.root DIR                       (your own videos)
    python -m recipes.paper_pretrain vggsound --data.root DIR \
        --image-weights mae_vit_base.pth --audio-weights audiomae_vit_base.pth             (8 GPUs)

Try:
    --model.fusion dense
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch.optim import AdamW

from avblocks import Masker
from avblocks.heads import AudioStatisticsContrast
from avblocks.optim import group_rates, param_groups
from avblocks.seed import seed_all
from avblocks.tasks import (
    MaskedAutoencoder,
    Pretraining,
    ProbeScorer,
    evaluation_mode,
    reconstruction_examples,
)
from avblocks.viz import panel, save_figure
from recipes.common.cli import run_cli
from recipes.common.data import COMPOSED_DATA, SCENES_DATA, Data, test_set, train_set
from recipes.common.errors import prefixed
from recipes.common.loaders import example_loader, test_loader
from recipes.common.model import (
    COMPOSED_MODEL,
    SMALL,
    MaskName,
    Model,
    build_autoencoder,
    maskers,
    patch_grids,
)
from recipes.common.optimizer import fused, peak_lr
from recipes.common.settings import TrainConfig
from recipes.common.start import load_pretrained
from recipes.common.train import open_training
from recipes.engine import Run


@dataclass(frozen=True, kw_only=True)
class Config(TrainConfig):
    """Settings of a run."""

    weight_decay: float = 0.05
    """AdamW weight decay (not applied to biases and norms)."""

    image_mask: float = 0.75
    """Mask ratio of the image patches."""

    audio_mask: float = 0.8
    """Mask ratio of the spectrogram patches."""

    mask: MaskName = "random"
    """Mask patches at random, blocks of patches (equal ones in all frames of a video), tubes (equal
    patches in all frames of a video), or bands of time or frequency (in the spectrogram; random
    patches in the image)."""

    predict: float = 1.0
    """Fraction of the masked patches that is predicted, drawn in each step; below 1 only with
    `--model.decoder reading`."""

    left_out: float = 0.0
    """Share of the training clips whose image or audio is left out, so that the encoder also works
    with one of them."""

    contrast: float = 0.0
    """Weight of the contrast of the image, encoded alone, with statistics of the spectrogram; 0
    for none. Where backgrounds and silent things fill images, it teaches what makes sound."""

    cutmix: float = 0.0
    """Parameter of the beta distribution of CutMix, for the images of `--contrast`: a rectangle of
    each is of another clip, with its share of the loss; 0 for whole images."""

    image_weights: Path | None = None
    """Initial weights of the image ViT: a published MAE file."""

    audio_weights: Path | None = None
    """Initial weights of the audio ViT: a published AudioMAE file."""

    @property
    def maskers(self) -> tuple[Masker, Masker]:
        """The maskers of images and of spectrograms."""
        ratios = {"image": self.image_mask, "audio": self.audio_mask}
        return maskers(self.mask, **ratios, frames=self.data.frames)

    def check(self, *, compiles: bool = True) -> None:
        """Check that the settings are consistent, see `TrainConfig.check`."""
        super().check(compiles=compiles)
        if self.mask == "tube" and self.data.frames == 1:
            raise ValueError("--mask tube is for videos: give --data.frames 8, for instance")
        if not 0 < self.predict <= 1 or (self.predict < 1 and self.model.decoder == "full"):
            raise ValueError("--predict is in (0, 1], and below 1 with --model.decoder reading")
        if self.contrast and self.model.fusion == "joint":
            raise ValueError("--contrast is not for CAV-MAE, which has its own: leave it out")
        grids = patch_grids(self.model, self.data)
        for name, masker, grid in zip(("image", "audio"), self.maskers, grids, strict=True):
            with prefixed(f"--{name}-mask: "):
                masker(grid, batch=1, generator=torch.Generator())


VGGSOUND = Config(data=Data(name="vggsound"), batch=64, epochs=200, warmup=40, base_lr=1.5e-4)
SCENES = replace(
    VGGSOUND,
    data=SCENES_DATA,
    model=SMALL,
    batch=32,
    epochs=100,
    warmup=10,
    base_lr=8e-3,
    evaluate_every=25,
)
AUDIOSET = VGGSOUND.on(
    "audioset", model=Model(attn_ratio=1.0, mlp_ratio=4.0), run=Run(accumulate=4)
)
FOLDER = replace(
    VGGSOUND,
    data=Data(name="folder"),
    model=Model(dim=384, heads=6),
    batch=32,
)
COMPOSED = replace(
    SCENES,
    data=COMPOSED_DATA,
    model=COMPOSED_MODEL,
    batch=48,
    warmup=12,
    base_lr=5.3e-3,
    epochs=200,
    left_out=0.3,
    contrast=1.5,
    cutmix=0.3,
)
PRESETS = {
    "scenes": ("small synthetic scenes: minutes on two CPU cores", SCENES),
    "composed": ("scenes of recipes.make_scenes: half an hour on two CPU cores", COMPOSED),
    "folder": ("any folder of video files with audio: ViT-S at the paper's sizes", FOLDER),
    "vggsound": ("the paper's, from scratch unless weights are given: 8 GPUs", VGGSOUND),
    "audioset": ("the paper's on AudioSet-2M, 2048 clips an update: 8 GPUs", AUDIOSET),
}


def _contrast(config: Config) -> AudioStatisticsContrast | None:
    if not config.contrast:
        return None
    return AudioStatisticsContrast(config.model.dim, mels=config.data.mels)


Build = Callable[[Model, Data], MaskedAutoencoder]


def main(config: Config, *, build: Build = build_autoencoder) -> None:
    """Pre-train with probes during training; write checkpoints, curves and a reconstruction.

    Args:
        config: The settings.
        build: Function that builds the model; pass your own to train another model.
    """
    config.check()
    data = config.data
    train, test = train_set(data), test_set(data)

    image_mask, audio_mask = config.maskers
    seed_all(config.run.seed, "weights")
    model = Pretraining(
        build(config.model, data),
        front_end=data.front_end,
        image_mask=image_mask,
        audio_mask=audio_mask,
        left_out=config.left_out,
        contrast=_contrast(config),
        contrast_weight=config.contrast,
        cutmix=config.cutmix,
    )
    model.mae.predict = config.predict
    pretrained = load_pretrained(model, image=config.image_weights, audio=config.audio_weights)
    lr = peak_lr(config, samples=len(train))
    groups = param_groups(model, weight_decay=config.weight_decay, pretrained=pretrained)
    optimizer = AdamW(groups, lr=lr, betas=(0.9, 0.95), fused=fused(config.run))
    schedule = partial(group_rates, groups, lr=lr, epochs=config.epochs, warmup=config.warmup)

    loader = partial(test_loader, test or train, data, batch=config.batch)
    with open_training(config, train=train, test=test) as training:
        training.fit(
            model,
            optimizer=optimizer,
            schedule=schedule,
            scorer=ProbeScorer(model, multilabel=data.multilabel) if test else None,
            loader=loader,
            compiled=model.mae,
        )
        few = example_loader(test or train, replace(data, on_error="skip"), count=4)
        if batch := training.examples(model, few):
            with evaluation_mode(model):
                figure = panel(reconstruction_examples(model, batch))
            save_figure(figure, config.run.folder / "reconstruction.png")
            print(f"figures: {config.run.folder}/loss.png {config.run.folder}/reconstruction.png")


if __name__ == "__main__":
    run_cli(main, presets=PRESETS, doc=__doc__)
