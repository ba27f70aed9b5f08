r"""Audio-visual segmentation: which pixels sound.

Paper:
    "Unveiling the Power of Audio-Visual Early Fusion Transformers with Dense Interactions through
    Masked Modeling", arXiv 2312.01017: S4 mIoU 89.94 and F 92.34, means over the background too.

Commands:
    python -m recipes.paper_segment             (after python -m recipes.paper_pretrain: minutes)
    python -m recipes.paper_segment avsbench_s4 --data.root DIR --checkpoint deepavfusion.pth

Try:
    --checkpoint None --layer-decay 1                 (from scratch: what pre-training is worth)
"""

from dataclasses import dataclass, field, replace
from pathlib import Path

from torch import nn

from avblocks.data.datasets import ClipSet
from avblocks.heads import segmenter
from recipes._checkpoint import start_encoder
from recipes._cli import resume_command, run_cli
from recipes._data import FREE, SCENES_DATA, Data, test_set, train_loader, train_set
from recipes._distributed import rank_and_world
from recipes._engine import fit
from recipes._mixtures import SOUNDS, group_test_loader, with_strangers
from recipes._model import SMALL, Model, build_encoder, check_sizes
from recipes._optimizer import adamw
from recipes._plan import seed_all
from recipes._run import Run
from recipes._score_files import score_table, write_scores
from recipes._segmentation import Segmentation, segmentation_picture, segmentation_scores
from recipes._skipped import SkippedFiles


@dataclass(frozen=True, kw_only=True)
class Config:
    """Everything a run depends on; the defaults are the paper's on AVSBench S4."""

    data: Data
    """The pictures with masks and their sounds."""

    checkpoint: Path | None
    """A run folder, a checkpoint in one, or a published file; None: from scratch."""

    model: Model = field(default_factory=Model)
    """The encoder's sizes; those of the decoders are not used."""

    run: Run = field(default_factory=Run)
    """Folder, length, hardware, saves."""

    semantic: bool = False
    """Tell classes apart, rather than what sounds from what does not."""

    width: int = 128
    """Fewest channels of a level of the head, and of its last but one convolution."""

    batch: int = 32
    """Pictures in a batch of one process."""

    epochs: int = 100
    """Times that every picture is seen."""

    warmup: int = 20
    """Epochs over which the learning rate rises from 0."""

    base_lr: float = 2e-4
    """Learning rate of AdamW for 256 pictures an update; it grows with their number."""

    layer_decay: float = 0.75
    """Factor on the rate from each layer to the one before it."""

    weight_decay: float = 0.05
    """AdamW's; biases and norms have none."""

    drop_path: float = 0.0
    """Stochastic depth of the encoder's blocks."""

    evaluate_every: int = 10
    """Epochs between evaluations."""


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


def masked_sets(data: Data, *, semantic: bool) -> tuple[ClipSet, ClipSet]:
    """List the pictures to train and to test on, which must have masks of the wanted kind."""
    if data.shards is not None:
        raise ValueError("segmentation needs pictures with masks, which --data.shards has not")
    if semantic and data.name in ("avsbench_s4", "avsbench_ms3"):
        raise ValueError(f"the masks of {data.name} are binary: leave --semantic out")
    train, test = train_set(data), test_set(data)
    if test is None:
        raise ValueError(f"{train.name} has no masks")
    return train, test


def main(config: Config) -> None:
    """Train encoder and head; leave scores with each sound, and pictures."""
    check_sizes(config.model, config.data)
    train, test = masked_sets(config.data, semantic=config.semantic)
    seed_all(config.run.seed, "weights")
    encoder = build_encoder(config.model, config.data, drop_path=config.drop_path)
    start_encoder(encoder, config.checkpoint, model=config.model, resume=config.run.resume)
    seed_all(config.run.seed, "head")
    head = segmenter(
        config.model.dim,
        num_classes=len(train.classes) if config.semantic else 1,
        patch=config.model.patch,
        num_layers=config.model.depth,
        min_width=config.width,
        hidden=config.width,
    )
    model = Segmentation(encoder, head, data=config.data)
    optimizer, schedule = adamw(model, config, depth=encoder.depth, samples=len(train))
    folder = config.run.folder
    skipped = SkippedFiles(
        folder, total=len(train) + len(test), max_skipped=config.data.max_skipped
    )
    pairs = with_strangers(test, scenes=config.data.name == "scene_masks")

    def scored(sound: str) -> dict[str, float]:
        loader = group_test_loader(test, pairs, config.data, batch=config.batch, whole=True)
        return segmentation_scores(model, loader, sound=sound, on_batch=skipped)

    def final(_: nn.Module) -> None:
        scores = {sound: scored(sound) for sound in SOUNDS}
        if rank_and_world()[0] == 0:
            write_scores(folder, scores, facts={"test": test.report()})
            print(score_table({f"sound {sound}": row for sound, row in scores.items()}))
            shown = group_test_loader(test, pairs, config.data, batch=6, whole=True)
            batch = next((batch for batch in shown if len(batch)), None)
            if batch is not None:
                segmentation_picture(model, batch, folder / "segmentation.png")

    fitted = fit(
        model,
        compiled=encoder,
        train=train_loader(train, config.data, batch=config.batch, seed=config.run.seed),
        optimizer=optimizer,
        schedule=schedule,
        epochs=config.epochs,
        run=config.run,
        config=config,
        free=("checkpoint", *FREE),
        clips={"train": train, "test": test},
        evaluate=lambda _, epochs_done: scored("own"),
        evaluate_every=config.evaluate_every,
        on_batch=skipped,
        final=final,
        unused=True,
    )
    if fitted.rank == 0:
        print(f"{skipped.summary()}\nin {folder}: scores.json segmentation.png loss.png")
        if not fitted.finished:
            print(f"next: {resume_command()}")


if __name__ == "__main__":
    run_cli(main, presets=PRESETS, doc=__doc__)
