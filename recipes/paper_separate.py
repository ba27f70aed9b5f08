r"""Visually guided sound separation: of a mixture, the sound that belongs to the picture.

Paper:
    "Unveiling the Power of Audio-Visual Early Fusion Transformers with Dense Interactions through
    Masked Modeling", arXiv 2312.01017, on VGGSound-Music: SDR 5.79, SIR 8.24, SAR 13.82.

Commands:
    python -m recipes.paper_separate            (after python -m recipes.paper_pretrain: minutes)
    python -m recipes.paper_separate vggsound_music --data.root DIR --checkpoint deepavfusion.pth

Scores:
    SDR, SIR, SAR (BSS Eval v3) and SI-SDR in dB, and what they gain over the mixture itself, guided
    by each sound's own picture, by another one of the mixture (swapped) and by a black one (blank).
    Mixtures with a silent source have no scores and are counted.

Try:
    --masks binary --sources 3
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from avblocks.data import FixedGroups, FrontEnd, RandomGroups, paired
from avblocks.data.datasets import ClipSet, pairs
from avblocks.data.datasets.vggsound_music import PAIRS
from avblocks.data.scenes import scene_casts, scene_pairs
from avblocks.heads import separator
from avblocks.tasks.separate import Masks, Separation, separation_files, separation_rows
from recipes.common.cli import run_cli
from recipes.common.data import SCENES_DATA, Data
from recipes.common.loaders import test_loader, train_loader
from recipes.common.model import SMALL, Model
from recipes.common.sets import scenes_root
from recipes.common.train import TaskConfig, annotated_sets, seeded_encoder, train_and_test


@dataclass(frozen=True, kw_only=True)
class Config(TaskConfig):
    """Everything a run depends on; but for ratio masks the defaults are the paper's."""

    batch: int = 64
    """Mixtures in a batch of one process."""

    epochs: int = 300
    """Times that every clip opens a mixture."""

    warmup: int = 40
    """Epochs over which the learning rate rises from 0."""

    base_lr: float = 3e-4
    """Learning rate of AdamW for 256 mixtures an update; it grows with their number."""

    sources: int = 2
    """Clips in a mixture."""

    masks: Masks = "ratio"
    """What is learnt for each bin: the source's share of it, or whether it is the louder one."""


MUSIC = Config(data=Data(name="vggsound_music"), checkpoint=Path("runs/paper_pretrain-vggsound"))
SCENES = Config(
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


NAMES = ("scenes", "class_folder", "vggsound", "vggsound_music", "audioset", "audioset_balanced")


def mixtures(config: Config, train: ClipSet, test: ClipSet) -> tuple[RandomGroups, FixedGroups]:
    """Say which clips are mixed: at random in training; in testing the fixed pairs there are.

    Raises:
        ValueError: If there are too few clips, or none of the pairs is on disk.
    """
    data, size = config.data, config.sources
    root = data.root or scenes_root(data.name)
    scenes = data.name == "scenes"

    def drawn(clips: ClipSet) -> RandomGroups:
        fits = scene_casts(root, clips) if scenes else unlike(clips)
        return RandomGroups(len(clips), size=size, seed=config.run.seed, fits=fits)

    if size == 2 and data.name in ("scenes", "vggsound_music"):
        listed = scene_pairs(root, test) if scenes else pairs(test, root / PAIRS)
        print(listed.report(), flush=True)
        return drawn(train), paired(test, listed)
    groups = (replace(drawn(test), seed=0)(0, index) for index in range(len(test)))
    # A clip that no others fit has another one in its place, which opens its own mixture anyhow.
    fixed = tuple(group for index, group in enumerate(groups) if group[0] == index)
    return drawn(train), FixedGroups(fixed)


def unlike(clips: ClipSet) -> Callable[[int, int], bool]:
    """From two places to whether the clips have no class in common."""
    labels = [set(item.labels) for item in clips.items]
    return lambda first, second: not labels[first] & labels[second]


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
    """Train encoder and head; leave scores, spectrograms and sounds."""
    data, seed = config.data, config.run.seed
    train, test = annotated_sets(config, names=NAMES, needs="classes to tell sounds apart by")
    groups, fixed = mixtures(config, train, test)
    model = build(config, classes=train.classes)
    train_and_test(
        config,
        model,
        train=train,
        test=test,
        train_loader=train_loader(train, data, batch=config.batch, seed=seed, groups=groups),
        test_loader=lambda batch: test_loader(test, data, batch=batch, groups=fixed),
        score=partial(separation_rows, model),
        show=partial(separation_files, model),
        leaves="separation.png wavs",
    )


if __name__ == "__main__":
    run_cli(main, presets=PRESETS, doc=__doc__)
