"""Initialization of the encoder of a recipe: from a run, an export, or a published file."""

from collections.abc import Collection
from pathlib import Path
from typing import cast

from avblocks import AVEncoder
from avblocks.checkpoint import (
    LoadReport,
    from_audiomae,
    from_mae,
    load_encoder,
    load_weights,
    read_state,
    rebuild,
)
from avblocks.seed import seed_all
from avblocks.tasks import Pretraining
from recipes.common.errors import prefixed
from recipes.common.evaluation import evaluated
from recipes.common.foreign import foreign_encoder, is_foreign, load_foreign, recorded
from recipes.common.model import build_encoder
from recipes.common.run_files import find, newest
from recipes.common.settings import TaskConfig, TrainConfig
from recipes.common.sizes import check_same_sizes, sizes_of, usual_sizes


def seeded_encoder(config: TrainConfig, *, maps: Collection[str] = ()) -> AVEncoder:
    """Build the encoder with the seed of the run, and seed the random states for the head.

    Args:
        config: The settings of the recipe; a ``checkpoint`` of the zoo determines the encoder.
        maps: The modalities of whose patches the head makes maps.

    Raises:
        ValueError: If the model in the file cannot be the encoder of this recipe.
    """
    seed_all(config.run.seed, "weights")
    drop_path = getattr(config, "drop_path", 0.0)
    if (record := recorded(config)) is not None:
        encoder = cast(AVEncoder, rebuild.build_encoder(record))
        seed_all(config.run.seed, "head")
        return encoder
    encoder = build_encoder(config.model, config.data, drop_path=drop_path)
    checkpoint, allow = getattr(config, "checkpoint", None), getattr(config, "allow", ())
    path = None if checkpoint is None else newest(checkpoint)
    if path is not None and is_foreign(path):
        encoder = foreign_encoder(encoder, path, model=config.model, maps=maps, allow=allow)
    seed_all(config.run.seed, "head")
    return encoder


def start_encoder(encoder: AVEncoder, config: TaskConfig) -> LoadReport | None:
    """Load the checkpoint of a recipe into its encoder and print the load report.

    Nothing is done if the run is resumed, which loads all weights later.

    Args:
        encoder: Built from ``config.model``, whose sizes are compared with the checkpoint's.
        config: The settings. Its ``checkpoint`` is a run folder (the newest complete checkpoint is
            taken), a checkpoint in one, a folder of `recipes.export`, or a published file; `None`
            keeps the random initialization.

    Returns:
        The report, if a checkpoint was loaded.

    Raises:
        ValueError: If there is no such checkpoint, it is of another model, or nothing matches.
    """
    if config.run.resume or evaluated() is not None:
        return None
    if config.checkpoint is None:
        print("no --checkpoint: the encoder starts at random", flush=True)
        return None
    path = find(config.checkpoint)
    if is_foreign(path):
        report = load_foreign(encoder, path, allow=config.allow)
        print(f"{path}\n{report}", flush=True)
        return report
    state = read_state(path)
    with prefixed(f"{path}: "):
        known = sizes_of(path)
        if known is not None:
            check_same_sizes(config.model, known.model)
        report = load_encoder(encoder, state, allow=config.allow)
    print(f"{path}\n{report}", flush=True)
    now, before = usual_sizes(encoder), known and known.clips
    if before and before != now:
        print(f"note: it was trained on clips of {before}, and these are of {now}", flush=True)
    return report


def load_pretrained(
    model: Pretraining, *, image: Path | None, audio: Path | None
) -> Collection[str]:
    """Load published weights into the ViTs, if given, and print the load reports.

    Returns:
        The names in the model whose weights were loaded.

    Raises:
        ValueError: If a file is damaged or of another model; the final norm may be missing, as in
            fine-tuned files.
    """
    names: list[str] = []
    for modality, path, convert in (("image", image, from_mae), ("audio", audio, from_audiomae)):
        if path is None:
            continue
        vit, state = model.mae.encoder.get_submodule(modality), read_state(path)
        with prefixed(f"{path}: weights of another model: "):
            report = load_weights(vit, convert(state))
        print(f"{path}\n{report}", flush=True)
        strange = [*report.unused, *(n for n in report.missing if not n.startswith("norm."))]
        if strange:
            raise ValueError(f"{path}: weights of another model, see {', '.join(strange[:4])} ...")
        names += report.prefixed(f"mae.encoder.{modality}.").loaded
    return names
