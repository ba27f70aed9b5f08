r"""Visual sound localization: where in the picture the sound comes from, learnt without boxes.

Paper:
    "Unveiling the Power of Audio-Visual Early Fusion Transformers with Dense Interactions through
    Masked Modeling", arXiv 2312.01017, which ships no code for it. For scale, EZ-VSL (ECCV 2022):
    cIoU with the median cut 39.34 and AUC 39.78 on VGG-SS, 83.94 and 63.60 on Flickr-SoundNet.

Commands:
    python -m recipes.paper_localize            (after python -m recipes.paper_pretrain: minutes)
    python -m recipes.paper_localize vggss --data.root DIR --checkpoint deepavfusion.pth
"""

from dataclasses import dataclass, field, replace
from pathlib import Path

from torch import nn

from avblocks.heads import Localizer
from recipes._checkpoint import start_encoder
from recipes._cli import resume_command, run_cli
from recipes._data import FREE, SCENES_DATA, Data, test_set, train_loader, train_set
from recipes._distributed import rank_and_world
from recipes._engine import fit
from recipes._localization import Localization, localization_picture, localization_scores
from recipes._mixtures import group_test_loader, with_strangers
from recipes._model import SMALL, Model, build_encoder, check_sizes
from recipes._optimizer import adamw
from recipes._plan import seed_all
from recipes._run import Run
from recipes._score_files import score_table, write_scores
from recipes._skipped import SkippedFiles


@dataclass(frozen=True, kw_only=True)
class Config:
    """Everything a run depends on; the defaults are those of training on VGGSound."""

    data: Data
    """The clips to train on, and those with boxes to test on."""

    checkpoint: Path | None
    """A run folder, a checkpoint in one, or a published file; None: from scratch."""

    model: Model = field(default_factory=Model)
    """The encoder's sizes; those of the decoders are not used."""

    run: Run = field(default_factory=Run)
    """Folder, length, hardware, saves."""

    frozen: bool = False
    """Leave the encoder as it is and train the two projections alone."""

    joint: bool = False
    """Encode each picture together with its sound, rather than apart."""

    dim_out: int = 512
    """Width of the space that patches and sounds are compared in."""

    batch: int = 128
    """Clips in a batch of one process, each the others' negative."""

    epochs: int = 100
    """Times that every clip is seen."""

    warmup: int = 10
    """Epochs over which the learning rate rises from 0."""

    base_lr: float = 2e-4
    """Learning rate of AdamW for 256 clips an update; it grows with their number."""

    layer_decay: float = 0.75
    """Factor on the rate from each layer to the one before it."""

    weight_decay: float = 0.05
    """AdamW's; biases and norms have none."""

    evaluate_every: int = 10
    """Epochs between evaluations."""


VGGSS = Config(data=Data(name="vggss"), checkpoint=Path("runs/paper_pretrain-vggsound"))
SCENES = Config(
    data=replace(SCENES_DATA, name="scene_boxes", scenes=(960, 120)),
    checkpoint=Path("runs/paper_pretrain-scenes"),
    model=SMALL,
    frozen=True,
    batch=64,
    epochs=40,
    warmup=4,
    base_lr=8e-3,
)
PRESETS = {
    "scenes": ("scenes made on the spot: minutes on two CPU cores", SCENES),
    "vggss": ("train on VGGSound, test on VGG-SS", VGGSS),
}


def main(config: Config) -> None:
    """Train a localizer; leave scores beside those of two cheats, and heat maps."""
    check_sizes(config.model, config.data)
    train, test = train_set(config.data), test_set(config.data)
    if test is None or config.data.shards is not None:
        raise ValueError("localization is tested on boxes, which --data.shards has not")
    seed_all(config.run.seed, "weights")
    encoder = build_encoder(config.model, config.data)
    start_encoder(encoder, config.checkpoint, model=config.model, resume=config.run.resume)
    seed_all(config.run.seed, "head")
    head = Localizer(config.model.dim, dim_out=config.dim_out)
    model = Localization(encoder, head, data=config.data, frozen=config.frozen, joint=config.joint)
    optimizer, schedule = adamw(model, config, depth=encoder.depth, samples=len(train))
    folder, data = config.run.folder, config.data
    skipped = SkippedFiles(folder, total=len(train) + len(test), max_skipped=data.max_skipped)
    pairs = with_strangers(test, scenes=data.name == "scene_boxes")

    def scored() -> dict[str, dict[str, float]]:
        loader = group_test_loader(test, pairs, data, batch=16, whole=True)
        return localization_scores(model, loader, rule="vggss", on_batch=skipped)

    def final(_: nn.Module) -> None:
        scores = scored()
        if rank_and_world()[0] == 0:
            write_scores(folder, scores, facts={"test": test.report()})
            print(score_table(scores))
            shown = group_test_loader(test, pairs, data, batch=6, whole=True)
            batch = next((batch for batch in shown if len(batch)), None)
            if batch is not None:
                localization_picture(model, batch, folder / "maps.png", rule="vggss")

    fitted = fit(
        model,
        compiled=encoder,
        train=train_loader(train, data, batch=config.batch, seed=config.run.seed),
        optimizer=optimizer,
        schedule=schedule,
        epochs=config.epochs,
        run=config.run,
        config=config,
        free=("checkpoint", *FREE),
        clips={"train": train, "test": test},
        evaluate=lambda _, epochs_done: scored().get("own", {}),
        evaluate_every=config.evaluate_every,
        on_batch=skipped,
        final=final,
        unused=True,
    )
    if fitted.rank == 0:
        print(f"{skipped.summary()}\nin {folder}: scores.json maps.png loss.png")
        if not fitted.finished:
            print(f"next: {resume_command()}")


if __name__ == "__main__":
    run_cli(main, presets=PRESETS, doc=__doc__)
