r"""Visually guided sound separation: of a mixture, the sound that belongs to the picture.

Paper:
    "Unveiling the Power of Audio-Visual Early Fusion Transformers with Dense Interactions through
    Masked Modeling", arXiv 2312.01017, on VGGSound-Music: SDR 5.79, SIR 8.24, SAR 13.82.

Commands:
    python -m recipes.paper_separate            (after python -m recipes.paper_pretrain: minutes)
    python -m recipes.paper_separate vggsound_music --data.root DIR --checkpoint deepavfusion.pth

Scores:
    SDR, SIR, SAR (BSS Eval v3) and SI-SDR in dB, and their gain over the mixture itself, guided by
    the matched image, by another image of the mixture (mismatched) and by a black one (blank).
    Mixtures with a silent source have no scores and are counted.

Try:
    --masks binary --sources 3
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from avblocks.data import FrontEnd, write_wave
from avblocks.heads import separator
from avblocks.tasks import (
    Scores,
    Separation,
    SeparationExamples,
    SeparationScorer,
    evaluate,
    first_batch,
    first_row,
    separation_examples,
)
from avblocks.tasks.separate import Masks
from avblocks.viz import panel, save_figure
from recipes.common.cli import run_cli
from recipes.common.data import SCENES_DATA, Data, train_test_sets
from recipes.common.loaders import test_loader, train_loader
from recipes.common.mixtures import mixtures
from recipes.common.model import SMALL, Model
from recipes.common.optimizer import adamw
from recipes.common.scores import write_scores
from recipes.common.settings import FineTuneConfig
from recipes.common.start import seeded_encoder, start_encoder
from recipes.common.train import open_training


@dataclass(frozen=True, kw_only=True)
class Config(FineTuneConfig):
    """Everything a run depends on."""

    sources: int = 2
    """Clips in a mixture."""

    masks: Masks = "ratio"
    """Target of each bin: the source's share of it, or whether it is the louder one (the paper)."""


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
PRESETS = {
    "scenes": ("scenes made on the spot: minutes on two CPU cores", SCENES),
    "vggsound_music": ("the paper's: music, published test pairs", MUSIC),
    "folder": (
        "your own videos, a sub-folder for each class; a fifth is held out",
        replace(
            MUSIC,
            data=Data(name="class_folder", workers=2),
            checkpoint=Path("runs/paper_pretrain-folder"),
            model=Model(dim=384, heads=6),
        ),
    ),
}


def build(config: Config, *, classes: Sequence[str]) -> Separation:
    """Make the model as it is before the encoder starts from a checkpoint."""
    encoder = seeded_encoder(config)
    head = separator(config.model.dim, patch=config.model.patch, num_layers=config.model.depth)
    return Separation(
        encoder,
        head,
        front_end=FrontEnd(config.data.format),
        masks=config.masks,
        sources=config.sources,
    )


def main(config: Config) -> None:
    """Train encoder and head; leave scores, spectrograms and audio files."""
    config.check(compiles=False)
    data, seed = config.data, config.run.seed
    train, test = train_test_sets(data, needs="sources")
    groups, fixed = mixtures(data, train, test, sources=config.sources, seed=seed)
    loader = partial(test_loader, test, data, groups=fixed)

    model = build(config, classes=train.classes)
    start_encoder(model.encoder, config.checkpoint, model=config.model, resume=config.run.resume)
    optimizer, schedule = adamw(model, config, samples=len(train))

    with open_training(config, train=train, test=test) as (run, skipped):

        def score(*, brief: bool) -> Scores:
            scorer = SeparationScorer(model, brief=brief)
            return evaluate(scorer, loader(batch=config.batch), on_batch=skipped)

        run.fit(
            model,
            train=train_loader(train, data, batch=config.batch, seed=seed, groups=groups),
            optimizer=optimizer,
            schedule=schedule,
            epochs=config.epochs,
            evaluate=lambda: first_row(score(brief=True)),
            evaluate_every=config.evaluate_every,
            on_batch=skipped,
            unused=True,
        )
        if run.finished:
            with run.testing(model):
                scores, batch = score(brief=False), first_batch(loader(batch=3), model)
                if run.first and batch is not None:
                    write_examples(separation_examples(model, batch), config.run.folder)
            if run.first:
                write_scores(config.run.folder, scores, test=test, leaves="separation.png wavs")


def write_examples(examples: SeparationExamples, folder: Path) -> None:
    """Write mixtures and what was separated from them, as spectrograms and wav files."""
    save_figure(panel(examples.columns()), folder / "separation.png")
    for name, audio in examples.audio.items():
        for row, samples in enumerate(audio):
            write_wave(folder / "wavs" / f"{row}-{name}.wav", samples, rate=examples.rate)


if __name__ == "__main__":
    run_cli(main, presets=PRESETS, doc=__doc__)
