"""Initialization of the encoder of a recipe: from a run, an export, or a published file."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from avblocks import AVEncoder
from avblocks.builder import Built
from avblocks.checkpoint import (
    LoadReport,
    from_audiomae,
    from_mae,
    load_encoder,
    load_weights,
    read_config,
    read_state,
)
from avblocks.checkpoint.folder import WEIGHTS, is_ours
from avblocks.checkpoint.rebuild import build_on_meta
from avblocks.seed import seed_all
from avblocks.tasks import Pretraining
from recipes.common.data import Data
from recipes.common.evaluation import evaluated
from recipes.common.foreign import foreign_encoder, is_foreign, load_foreign
from recipes.common.model import Model, build_encoder
from recipes.common.run_files import find, run_config
from recipes.common.settings import TaskConfig, TrainConfig


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
    encoder = build_encoder(config.model, config.data, drop_path=drop_path)
    checkpoint, allow = getattr(config, "checkpoint", None), getattr(config, "allow", ())
    if checkpoint is not None and is_foreign(checkpoint):
        encoder = foreign_encoder(encoder, checkpoint, model=config.model, maps=maps, allow=allow)
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
    try:
        origin = _origin(path)
        if origin is not None:
            check_same_sizes(config.model, origin.options)
        report = load_encoder(encoder, read_state(path), allow=config.allow)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    print(f"{path}\n{report}", flush=True)
    now = _sizes(encoder)
    if origin is not None and origin.clips != now:
        print(
            f"note: it was trained on clips of {origin.clips}, and these are of {now}", flush=True
        )
    return report


@dataclass(frozen=True)
class _Origin:
    """Options and clip sizes for which an encoder was built."""

    options: Mapping[str, Any]
    """Options of `Model`, or some of them."""

    clips: str
    """Sizes of the images and the spectrograms."""


def _origin(path: Path) -> _Origin | None:
    """Read the options of a checkpoint from its run folder or export, if it is in one."""
    if config := run_config(path):
        data = config["data"]
        names = ("seconds", "rate", "hop", "size", "mels", "frames")
        given = {name: data[name] for name in names if name in data}
        clips = Data(name="folder", **given).format
        return _Origin(config["model"], str(clips))
    folder = path.parent if path.name == WEIGHTS else path
    if not folder.is_dir() or not is_ours(folder):
        return None
    twin = build_on_meta({"encoder": read_config(folder)["encoder"]})
    assert isinstance(twin, AVEncoder) and isinstance(twin.built, Built)
    arguments = dict(twin.built.arguments)
    if not isinstance(patch := arguments["patch"], int):  # of a video: frames, height, width
        arguments |= {"tubelet": patch[0], "patch": patch[-1]}
    return _Origin({**arguments, "heads": arguments["num_heads"]}, _sizes(twin))


def _sizes(encoder: AVEncoder) -> str:
    """Describe the clip sizes for which an encoder was built."""
    grids = ((vit.pos_embed.grid, vit.patch) for vit in (encoder.image, encoder.audio))
    image, audio = (tuple(n * p for n, p in zip(*pair, strict=True)) for pair in grids)
    pixels, bins = (" x ".join(map(str, lengths)) for lengths in (image, audio))
    return f"{pixels} pixels and {bins} mel bins and frames"


def check_same_sizes(model: Model, options: Mapping[str, Any]) -> None:
    """Check that an encoder was built with the options of a recipe, for clips of any size.

    Args:
        model: The options of the recipe.
        options: Options of the encoder: of `Model` of a run, or arguments of `av_vit`.

    Raises:
        ValueError: If they differ; the message gives the options to pass.
    """
    others = ("decoder", "normalize", "checkpointing")
    names = [f.name for f in fields(Model) if not f.name.startswith(others)]
    now = {name: getattr(model, name) for name in names}
    own = _resolved(now)
    theirs = _resolved(now | {name: options[name] for name in names if name in options})
    wrong = [name for name in names if theirs[name] != own[name]]
    if "depth" in wrong and len(set(theirs["depth"])) > 1:
        raise ValueError(f"its ViTs have {theirs['depth']} blocks, and a recipe's as many each")
    if wrong:
        words = " ".join(f"--model.{n.replace('_', '-')} {_words(n, theirs[n])}" for n in wrong)
        raise ValueError(f"it holds an encoder of other sizes: pass {words}")


def _resolved(options: Mapping[str, Any]) -> dict[str, Any]:
    """Normalize options: the depths of both ViTs, and the layers with fusion by number."""
    plain = {name: tuple(v) if isinstance(v, list) else v for name, v in options.items()}
    depth, layers = plain["depth"], plain["fusion_layers"]
    depths = depth if isinstance(depth, tuple) else (depth, depth)
    named: dict[Any, tuple[int, ...]] = {"all": tuple(range(max(depths))), "none": ()}
    return plain | {"depth": depths, "fusion_layers": named.get(layers, layers)}


def _words(name: str, value: Any) -> str:
    """Format the value of an option for the command line."""
    if name == "depth":
        return str(value[0])
    words = " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return words or "none"


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
        vit = model.mae.encoder.get_submodule(modality)
        try:
            report = load_weights(vit, convert(read_state(path)))
        except ValueError as error:
            raise ValueError(f"{path}: weights of another model: {error}") from error
        print(f"{path}\n{report}", flush=True)
        strange = [*report.unused, *(n for n in report.missing if not n.startswith("norm."))]
        if strange:
            raise ValueError(f"{path}: weights of another model, see {', '.join(strange[:4])} ...")
        names += report.prefixed(f"mae.encoder.{modality}.").loaded
    return names
