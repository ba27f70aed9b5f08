r"""Visually guided sound separation: extract the audio that belongs to an image from a mixture.

Paper:
    "Unveiling the Power of Audio-Visual Early Fusion Transformers with Dense Interactions through
    Masked Modeling", arXiv 2312.01017, on VGGSound-Music: SDR 5.79, SIR 8.24, SAR 13.82.

Commands:
    python -m recipes.paper_separate            (after python -m recipes.paper_pretrain: minutes)
    python -m recipes.paper_separate vggsound_music --data.root DIR --checkpoint deepavfusion.pth
    python -m recipes.paper_separate music --data.root DIR --checkpoint deepavfusion.pth

Scores:
    SDR, SIR, SAR (BSS Eval v3) and SI-SDR in dB, and improvements over the mixture, guided by the
    matched image, by the other image of the mixture (mismatched) and by a black one (blank), and
    with the true masks (ideal), what a perfect prediction reaches. Mixtures with a silent source
    have no scores and are counted. docs/metrics.rst compares the two protocols.

Try:
    --masks binary --sources 3
    --protocol sound-of-pixels
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

from avblocks.data import FrontEnd
from avblocks.heads import separator
from avblocks.log_frequency import LogFrequency
from avblocks.metrics.separate import Dropped
from avblocks.tasks import Separation, SeparationScorer, separation_examples
from recipes.common.cli import run_cli
from recipes.common.data import COMPOSED_DATA, SCENES_DATA, Data, train_test_sets
from recipes.common.loaders import example_loader, test_loader
from recipes.common.mixtures import mixtures
from recipes.common.model import COMPOSED_MODEL, SMALL, Model
from recipes.common.optimizer import adamw
from recipes.common.scores import write_scores
from recipes.common.settings import FineTuneConfig
from recipes.common.start import seeded_encoder, start_encoder
from recipes.common.train import open_training


@dataclass(frozen=True, kw_only=True)
class Config(FineTuneConfig):
    """Settings of a run."""

    sources: int = 2
    """Number of clips in a mixture."""

    masks: Literal["ratio", "binary", "dominant"] = "ratio"
    """Targets: ratio masks; binary masks as in the paper; or dominant, binary masks of the bins in
    which the source exceeds half of the mixture, and separation by masks cut at 0.5."""

    protocol: Literal["deepavfusion", "sound-of-pixels"] = "deepavfusion"
    """Mixtures, spectrograms, masks and scores: those of the paper; or those of the Sound of
    Pixels, with seeded pairs of any clips, log frequency, dominant masks, and no score for a
    mixture of which a source or an estimate is silent."""

    image_pooling: Literal["mean", "attentive"] = "mean"
    """Pooling of the image tokens that guide the masks into one vector."""

    @property
    def seeded(self) -> bool:
        """Whether the protocol is that of the Sound of Pixels."""
        return self.protocol == "sound-of-pixels"

    @property
    def dropped(self) -> Dropped:
        """What has no scores if it is silent."""
        return "mixtures" if self.seeded else "estimates"

    def check(self, *, compiles: bool = True) -> None:
        """Check that the settings are consistent, see `TrainConfig.check`."""
        super().check(compiles=compiles)
        if self.seeded and self.masks != "ratio":
            raise ValueError("--protocol sound-of-pixels has masks of its own: leave --masks out")
        format = self.data.format
        if not self.seeded and 2 * format.hop > (window := format.mel_settings["n_fft"]):
            raise ValueError(
                f"separated audio is put together from windows of {window} samples that overlap by "
                f"half: --data.hop {format.hop} is too long, give --data.hop {window // 2}, and "
                f"--data.seconds {window // 2 * self.data.audio_size[1] / format.rate:g} for as "
                "many frames"
            )


MUSIC = Config(
    data=Data(name="vggsound_music"),
    checkpoint=Path("runs/paper_pretrain-vggsound"),
    batch=64,  # mixtures
    epochs=300,
    warmup=40,
    base_lr=3e-4,
)
SCENES = replace(
    MUSIC,
    data=SCENES_DATA,
    checkpoint=Path("runs/paper_pretrain-scenes"),
    model=SMALL,
    batch=8,
    epochs=25,
    warmup=2,
    base_lr=6.4e-2,
    evaluate_every=5,
)
COMPOSED = replace(
    SCENES,
    data=replace(COMPOSED_DATA, seconds=1.6, hop=400),  # windows of 800 samples that overlap
    checkpoint=Path("runs/paper_pretrain-composed"),
    model=COMPOSED_MODEL,
    epochs=60,
)
PIXELS = replace(
    MUSIC,
    data=Data(name="music", seconds=65536 / 11025, rate=11025, hop=256, mels=256),
    protocol="sound-of-pixels",
    epochs=3000,  # of a few hundred solos
    warmup=100,
    evaluate_every=100,
)
PRESETS = {
    "scenes": ("synthetic scenes: minutes on two CPU cores", SCENES),
    "composed": ("scenes of recipes.make_scenes: an hour on two CPU cores", COMPOSED),
    "vggsound_music": ("the paper's: music, published test pairs", MUSIC),
    "music": ("MUSIC's solos by the protocol of the Sound of Pixels; a fifth is held out", PIXELS),
    "music_solo_duet": (
        "as music, trained on duets too",
        replace(PIXELS, data=replace(PIXELS.data, name="music_solo_duet")),
    ),
    "folder": (
        "your own videos, a sub-folder for each class; a fifth is held out",
        replace(
            MUSIC,
            data=Data(name="class_folder"),
            checkpoint=Path("runs/paper_pretrain-folder"),
            model=Model(dim=384, heads=6),
        ),
    ),
}


def build(config: Config, *, classes: Sequence[str]) -> Separation:
    """Build the model, before the encoder is loaded from a checkpoint."""
    encoder, format = seeded_encoder(config, maps=["image", "audio"]), config.data.format
    log_mel = None
    if config.seeded:  # four hops a window, as 1022 samples and 256
        log_mel = LogFrequency(n_fft=4 * format.hop - 2, hop=format.hop, bins=format.mels)
    head = separator(
        config.model.dim,
        patch=config.model.patch,
        num_layers=config.model.depth,
        pooling=config.image_pooling,
        num_heads=config.model.heads,
    )
    return Separation(
        encoder,
        head,
        front_end=FrontEnd(format, log_mel=log_mel),
        masks="dominant" if config.seeded else config.masks,
        sources=config.sources,
    )


def main(config: Config) -> None:
    """Train encoder and head; write scores, spectrograms and audio files."""
    config.check(compiles=False)
    data = config.data
    train, test = train_test_sets(data, needs="sources")
    given = {"sources": config.sources, "seed": config.run.seed, "seeded": config.seeded}
    groups, fixed = mixtures(data, train, test, **given)
    loader = partial(test_loader, test, data, batch=config.batch, groups=fixed)

    model = build(config, classes=train.classes)
    start_encoder(model.encoder, config)
    optimizer, schedule = adamw(model, config, samples=len(train))

    with open_training(config, train=train, test=test) as training:
        training.fit(
            model,
            optimizer=optimizer,
            schedule=schedule,
            scorer=SeparationScorer(model, brief=True),
            loader=loader,
            groups=groups,
            unused=True,
        )
        if training.run.finished:
            with training.run.testing(model):
                scorer = SeparationScorer(model, dropped=config.dropped)
                scores = training.evaluate(scorer, loader())
                few = example_loader(test, data, count=3, groups=fixed)
                if batch := training.examples(model, few):
                    separation_examples(model, batch).write(config.run.folder)
            if training.run.first:
                write_scores(config.run.folder, scores, test=test, leaves="separation.png wavs")


if __name__ == "__main__":
    run_cli(main, presets=PRESETS, doc=__doc__)
