r"""Masked audio-visual pre-training of an early-fusion transformer (DeepAVFusion, CVPR 2024).

Paper:
    "Unveiling the Power of Audio-Visual Early Fusion Transformers with Dense Interactions through
    Masked Modeling", arXiv 2312.01017.

Commands:
    python -m recipes.paper_pretrain                            (two CPU cores, some four minutes)
    python -m recipes.paper_pretrain folder --data.root DIR                       (your own videos)
    python -m recipes.paper_pretrain vggsound --data.root DIR \
        --image-weights mae_vit_base.pth --audio-weights audiomae_vit_base.pth             (8 GPUs)

Try:
    --model.fusion dense
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from torch import nn
from torch.optim import AdamW

from avblocks import AVMAE
from avblocks.data import FrontEnd
from avblocks.data.skipped import SkippedFiles
from avblocks.optim import group_rates, param_groups
from avblocks.seed import seed_all
from avblocks.tasks.pretrain import Pretraining, load_pretrained, reconstruction_picture
from avblocks.tasks.probe import nearest_neighbour
from recipes.common.cli import resume_command, run_cli
from recipes.common.data import FREE, SCENES_DATA, Data, test_set, train_set
from recipes.common.loaders import test_loader, train_loader
from recipes.common.model import SMALL, Model, build_autoencoder, check_sizes
from recipes.common.optimizer import check_warmup, fused, peak_lr
from recipes.engine.job import Job, fit
from recipes.engine.run import Run


@dataclass(frozen=True, kw_only=True)
class Config:
    """Everything a run depends on; the defaults are the paper's on VGGSound."""

    data: Data
    """The clips."""

    model: Model = field(default_factory=Model)
    """The encoder and its decoders."""

    run: Run = field(default_factory=Run)
    """Folder, length, hardware, saves."""

    batch: int = 64
    """Clips in a batch of one process."""

    epochs: int = 200
    """Times that every clip is seen."""

    warmup: int = 40
    """Epochs over which the learning rate rises from 0."""

    base_lr: float = 1.5e-4
    """Learning rate for 256 clips an update; it grows with their number."""

    weight_decay: float = 0.05
    """AdamW's; biases and norms have none."""

    image_mask: float = 0.75
    """Share of the image patches that is masked."""

    audio_mask: float = 0.8
    """Share of the spectrogram patches that is masked."""

    image_weights: Path | None = None
    """Weights the image ViT starts from: a published MAE file."""

    audio_weights: Path | None = None
    """Weights the audio ViT starts from: a published AudioMAE file."""

    probe_every: int = 10
    """Epochs between nearest-neighbour probes on the test clips."""


SCENES = Config(
    data=SCENES_DATA, model=SMALL, batch=32, epochs=100, warmup=10, base_lr=8e-3, probe_every=25
)
VGGSOUND = Config(data=Data(name="vggsound"))
AUDIOSET = replace(
    VGGSOUND,
    data=Data(name="audioset"),
    model=Model(attn_ratio=1.0, mlp_ratio=4.0),
    run=Run(accumulate=4),
)
FOLDER = replace(
    VGGSOUND,
    data=Data(name="folder", workers=2),
    model=Model(dim=384, heads=6),
    batch=32,
)
PRESETS = {
    "scenes": ("small scenes made on the spot: minutes on two CPU cores", SCENES),
    "folder": ("any folder of video files with sound: ViT-S at the paper's sizes", FOLDER),
    "vggsound": ("the paper's, from scratch unless weights are given: 8 GPUs", VGGSOUND),
    "audioset": ("the paper's on AudioSet-2M, 2048 clips an update: 8 GPUs", AUDIOSET),
}


def main(config: Config, *, build: Callable[[Model, Data], AVMAE] = build_autoencoder) -> None:
    """Pre-train, probing on the way; leave checkpoints, curves and a reconstruction.

    Args:
        config: The settings.
        build: What makes the model of the settings: your own, to try another one.
    """
    check_warmup(config)
    check_sizes(config.model, config.data)
    train, test = train_set(config.data), test_set(config.data)
    seed_all(config.run.seed, "weights")
    model = Pretraining(
        build(config.model, config.data),
        front_end=FrontEnd(config.data.format),
        image_mask=config.image_mask,
        audio_mask=config.audio_mask,
    )
    pretrained = load_pretrained(model, image=config.image_weights, audio=config.audio_weights)

    lr = peak_lr(config, samples=len(train))
    groups = param_groups(model, weight_decay=config.weight_decay, pretrained=pretrained)
    optimizer = AdamW(groups, lr=lr, betas=(0.9, 0.95), fused=fused(config.run))

    folder = config.run.folder
    total = len(train) + (len(test) if test else 0)
    skipped = SkippedFiles(folder, total=total, max_skipped=config.data.max_skipped)

    def probe(_: nn.Module, epochs_done: int) -> dict[str, float]:
        loader = test_loader(test or train, config.data, batch=config.batch)
        return nearest_neighbour(
            model.encode, loader, on_batch=skipped, multilabel=config.data.multilabel
        )

    job = Job(
        model=model,
        compiled=model.mae,
        train=train_loader(train, config.data, batch=config.batch, seed=config.run.seed),
        optimizer=optimizer,
        schedule=partial(group_rates, groups, lr=lr, epochs=config.epochs, warmup=config.warmup),
        epochs=config.epochs,
        run=config.run,
        config=config,
        free=FREE,
        clips={"train": train, "test": test},
        evaluate=probe if test else None,
        evaluate_every=config.probe_every,
        on_batch=skipped,
    )
    fitted = fit(job)
    if fitted.rank == 0:
        shown = test_loader(test or train, replace(config.data, on_error="skip"), batch=4)
        reconstruction_picture(model, shown, folder / "reconstruction.png")
        print(f"{skipped.summary()}\npictures: {folder}/loss.png {folder}/reconstruction.png")
        own = "python -m recipes.paper_pretrain folder --data.root DIR (your own videos)"
        print(f"next: {own if fitted.finished else resume_command()}")


if __name__ == "__main__":
    run_cli(main, presets=PRESETS, doc=__doc__)
