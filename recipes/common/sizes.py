"""Sizes of model and clips, taken from the checkpoint that a recipe starts from."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from avblocks import AVEncoder, zoo
from avblocks.builder import Built
from avblocks.checkpoint import read_config
from avblocks.checkpoint.folder import WEIGHTS, is_ours
from avblocks.checkpoint.rebuild import build_on_meta
from avblocks.nn.stream import usual_size
from avblocks.zoo.config import config_sizes
from recipes.common.data_settings import Data
from recipes.common.errors import prefixed
from recipes.common.foreign import is_foreign
from recipes.common.model import Model
from recipes.common.run_files import find, read_sizes, run_config
from recipes.common.settings import TrainConfig

CLIPS = ("seconds", "rate", "hop", "size", "mels", "frames")
"""Settings of `Data` that are sizes of clips."""
_NOT_SIZES = ("decoder", "normalize", "checkpointing")
ENCODER = [f.name for f in fields(Model) if not f.name.startswith(_NOT_SIZES)]
"""Settings of `Model` that are sizes of the encoder."""
C = TypeVar("C", bound=TrainConfig)


@dataclass(frozen=True)
class Sizes:
    """Sizes of an encoder and of the clips that it was trained on, as far as they are known."""

    model: Mapping[str, Any]
    """Options of `Model`."""

    data: Mapping[str, Any] = field(default_factory=dict)
    """Options of `Data`, if the file has them."""

    clips: str | None = None
    """Sizes of the images and the spectrograms, in words."""


def sized(config: C, *, typed: Collection[str] = ()) -> C:
    """Return the settings with the sizes of the checkpoint; those of the run if it is resumed.

    Args:
        config: The settings.
        typed: Options on the command line, which are kept.

    Raises:
        ValueError: If there is no such checkpoint, or it is of other sizes than typed.
    """
    path = _source(config)
    known = None if path is None else _known(config, path)
    if path is None or known is None:
        return config
    model = {n: _field(n, x) for n, x in known.model.items() if f"model.{n}" not in typed}
    data = {n: x for n, x in known.data.items() if f"data.{n}" not in typed}
    changed = replace(
        config, model=replace(config.model, **model), data=replace(config.data, **data)
    )
    with prefixed(f"{path}: "):
        check_same_sizes(changed.model, known.model)
    return changed


def _source(config: TrainConfig) -> Path | None:
    """Return the file whose sizes the settings take: of the resumed run, or of its weights."""
    own = config.run.folder / "config.json"
    if config.run.resume and own.is_file():
        return own
    if (checkpoint := getattr(config, "checkpoint", None)) is not None:
        return find(checkpoint)
    weights = [getattr(config, f"{name}_weights", None) for name in ("image", "audio")]
    return next((path for path in weights if path is not None), None)


def _known(config: TrainConfig, path: Path) -> Sizes | None:
    """Read the sizes of a file from `_source`; None if they are not in it."""
    if config.run.resume and path == config.run.folder / "config.json":
        return _of_run(read_sizes(path))
    if getattr(config, "checkpoint", None) is None:
        return _of_published(path, ("dim", "depth", "heads"), config.model)
    names = ("dim", "heads") if is_foreign(path) else ENCODER
    return sizes_of(path) or _of_published(path, names, config.model)


def sizes_of(path: Path) -> Sizes | None:
    """Read the sizes of a checkpoint of a run, or of an export; None of other files."""
    if config := run_config(path):
        return _of_run(config)
    folder = path.parent if path.name == WEIGHTS else path
    return _of_export(folder) if folder.is_dir() and is_ours(folder) else None


def _of_run(config: Mapping[str, Any]) -> Sizes:
    model = {name: value for name, value in config["model"].items() if name in ENCODER}
    data = {name: config["data"][name] for name in CLIPS if name in config["data"]}
    return Sizes(model, data, str(Data(name="folder", **data).format))


def _of_export(folder: Path) -> Sizes:
    config = read_config(folder)
    twin = build_on_meta({"encoder": config["encoder"]})
    assert isinstance(twin.built, Built)
    data = config.get("clip_format") or {}
    data = {name: data[name] for name in CLIPS if name in data}
    if not isinstance(twin, AVEncoder) or twin.built.builder != "av_vit":
        arguments = twin.built.arguments
        whole = arguments.get("encoder", {})  # of one with a stream of another model
        return Sizes(_options(whole.get("arguments", arguments), ("dim", "heads")), data)
    return Sizes(_options(twin.built.arguments, ENCODER), data, usual_sizes(twin))


def _of_published(path: Path, names: Collection[str], model: Model) -> Sizes | None:
    """Read the sizes that follow from the tensors of a file; None if they do not."""
    try:
        found = _options(zoo.sizes_of(path), names)
    except (ValueError, KeyError):  # not in the file; those of the recipe are compared in loading
        return None
    # These are in no tensor: the usual ones, unless those of the recipe fit as well.
    if found.get("dim") == model.dim and "num_heads" not in config_sizes(path):
        found.pop("heads", None)
    if sum(found.get("num_tokens", ())) == sum(model.num_tokens):
        found.pop("num_tokens", None)
    return Sizes(found)


def _options(arguments: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    """Return the arguments of a builder of encoders as options of `Model`."""
    found = dict(arguments)
    if "num_heads" in found:
        found["heads"] = found["num_heads"]
    patch = found.get("patch", 0)
    if not isinstance(patch, int):  # of a video: frames, height, width
        found |= {"patch": patch[-1], **({"tubelet": patch[0]} if len(patch) > 2 else {})}
    return {name: found[name] for name in names if name in found}


def usual_sizes(encoder: AVEncoder) -> str:
    """Describe the clip sizes for which an encoder was built."""
    streams = (encoder.image, encoder.audio)
    pixels, bins = (" x ".join(map(str, usual_size(stream))) for stream in streams)
    return f"{pixels} pixels and {bins} mel bins and frames"


def check_same_sizes(model: Model, options: Mapping[str, Any]) -> None:
    """Check that an encoder was built with the options of a recipe, for clips of any size.

    Raises:
        ValueError: If they differ; the message gives the options to pass.
    """
    now = {name: getattr(model, name) for name in ENCODER}
    own = _resolved(now)
    theirs = _resolved(now | {name: options[name] for name in ENCODER if name in options})
    wrong = [name for name in ENCODER if theirs[name] != own[name]]
    if "depth" in wrong and len(set(theirs["depth"])) > 1:
        raise ValueError(f"its ViTs have {theirs['depth']} blocks, and a recipe's as many each")
    if wrong:
        words = " ".join(f"--model.{n.replace('_', '-')} {_words(n, theirs[n])}" for n in wrong)
        raise ValueError(f"it holds an encoder of other sizes: pass {words}, or none of these")


def _resolved(options: Mapping[str, Any]) -> dict[str, Any]:
    """Normalize options: the depths of both ViTs, and the layers with fusion by number."""
    plain = {name: tuple(v) if isinstance(v, list) else v for name, v in options.items()}
    depth, layers = plain["depth"], plain["fusion_layers"]
    depths = depth if isinstance(depth, tuple) else (depth, depth)
    named: dict[Any, tuple[int, ...]] = {"all": tuple(range(max(depths))), "none": ()}
    return plain | {"depth": depths, "fusion_layers": named.get(layers, layers)}


def _field(name: str, value: Any) -> Any:
    """Return a size as a field of `Model` or `Data`."""
    value = tuple(value) if isinstance(value, list) else value
    if name == "depth" and isinstance(value, tuple) and len(set(value)) == 1:
        return value[0]
    return value


def _words(name: str, value: Any) -> str:
    """Format the value of an option for the command line."""
    if name == "depth":
        return str(value[0])
    words = " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return words or "none"
