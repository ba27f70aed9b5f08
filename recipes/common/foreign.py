"""Published encoders of other projects (`avblocks.zoo`) as the encoder of a recipe."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict
from operator import mod
from pathlib import Path
from typing import Any

from torch import nn

from avblocks import AVEncoder, zoo
from avblocks.builder import Built
from avblocks.checkpoint import LoadReport, load_weights, read_config, read_state
from avblocks.checkpoint.folder import WEIGHTS, is_ours
from avblocks.jsonfile import read_json
from avblocks.nn.stream import usual_size
from avblocks.zoo import kind_of
from avblocks.zoo.ours import run_encoder
from recipes.common.model import Model
from recipes.common.run_files import newest
from recipes.common.settings import TrainConfig

_OURS = "avblocks"
RECORD = "encoder"  # key in config.json
_RECORD: ContextVar[dict[str, Any] | None] = ContextVar("record", default=None)
_CHANNELS = {3: "image", 1: "audio"}


def is_foreign(path: Path) -> bool:
    """Return whether a file, an export or a run has an encoder of the zoo other than `av_vit`.

    Args:
        path: What `run_files.newest` returns.

    Raises:
        ValueError: If it is damaged.
    """
    folder = path.parent if path.name == WEIGHTS else path
    if folder.is_dir() and is_ours(folder):
        return read_config(folder)["encoder"]["builder"] != "av_vit"
    if path.suffix == ".ckpt":
        return run_encoder(path) is not None
    if not path.is_file():
        return False
    kind = kind_of(read_state(path))
    return kind is not None and kind.name != _OURS


def foreign_encoder(
    encoder: AVEncoder,
    path: Path,
    *,
    model: Model,
    maps: Collection[str],
    allow: Collection[str] = (),
) -> AVEncoder:
    """Replace the encoder of a recipe, or the stream of one modality, by that of a file.

    Args:
        encoder: The encoder of the recipe; its other stream and its fusion are kept.
        path: A file of the zoo.
        model: The sizes of the recipe.
        maps: The modalities of whose patches the head makes maps.
        allow: Suffixes of names in the file that may be dropped, see `avblocks.zoo.load`.

    Raises:
        ValueError: If the recipe cannot use the file; the message gives the reason.
    """
    loaded = zoo.load(path, allow=allow)
    found: Any = loaded.encoder
    if found.dim != model.dim:
        raise ValueError(f"{path}: its tokens are {found.dim} wide: pass --model.dim {found.dim}")
    if isinstance(found, AVEncoder):
        for name in ("image", "audio"):
            own = encoder.get_submodule(name)
            _require_size(path, name, found.get_submodule(name), own, maps=bool(maps))
        for name in maps:
            _require_maps(path, name, found.get_submodule(name), model)
        return found
    name = _CHANNELS[found.channels]
    missing = sorted({*maps} - {name})
    if missing:
        raise ValueError(
            f"{path} ({loaded.kind}) encodes {name} alone, and this recipe makes maps of the "
            f"{missing[0]}: give a file with an encoder of the {missing[0]}"
        )
    _require_size(path, name, found, encoder.get_submodule(name), maps=bool(maps))
    if name in maps:
        _require_maps(path, name, found, model)
    other = "audio" if name == "image" else "image"
    print(
        f"note: {path} holds no {other} encoder and no fusion: both start at random, of the sizes "
        "of --model",
        flush=True,
    )
    return zoo.with_stream(encoder, name, found)


def recorded(config: TrainConfig) -> dict[str, Any] | None:
    """Return the builder of a published encoder in a run that is rebuilt or resumed.

    The run records it, so that its checkpoints can be used without the published file.
    """
    if (record := _RECORD.get()) is not None or not config.run.resume:
        return record
    file = config.run.folder / "config.json"
    return read_json(file, dict, remedy="restore it").get(RECORD) if file.is_file() else None


@contextmanager
def rebuilding(run_config: Mapping[str, Any]) -> Iterator[None]:
    """Let `recorded` return the record in the `config.json` of a run."""
    token = _RECORD.set(run_config.get(RECORD))
    try:
        yield
    finally:
        _RECORD.reset(token)


def record_of(config: TrainConfig, model: nn.Module) -> dict[str, Any] | None:
    """Return the builder of a published encoder and its arguments, to be recorded by the run."""
    if (record := recorded(config)) is not None:
        return record
    checkpoint = getattr(config, "checkpoint", None)
    path = None if checkpoint is None else newest(checkpoint)
    if path is None or not is_foreign(path):
        return None
    built = getattr(model.get_submodule("encoder"), "built", None)
    return asdict(built) if isinstance(built, Built) else None


def load_foreign(encoder: AVEncoder, path: Path, *, allow: Collection[str] = ()) -> LoadReport:
    """Load the weights of a file into an encoder from `foreign_encoder`."""
    loaded = zoo.load(path, allow=allow)
    found: Any = loaded.encoder
    prefix = "" if isinstance(found, AVEncoder) else f"{_CHANNELS[found.channels]}."
    filled = load_weights(
        encoder, {prefix + name: value for name, value in found.state_dict().items()}
    )
    return LoadReport(filled.loaded, missing=filled.missing, dropped=loaded.report.dropped)


def _require_size(path: Path, name: str, stream: Any, own: Any, *, maps: bool) -> None:
    """Raise a ValueError unless a stream accepts the inputs of the recipe's stream."""
    patch, size = tuple(stream.patch), usual_size(own)
    if len(patch) != len(size):
        remedy = (
            "videos: pass --data.frames N" if len(patch) > 2 else "one: leave --data.frames out"
        )
        if maps:
            remedy = "videos, and this recipe reads one image: give another file"
        raise ValueError(f"{path}: its {name} encoder reads {remedy}")
    if patch == tuple(stream.stride) and any(map(mod, size, patch)):
        options = "--data.size" if name == "image" else "--data.mels and --data.seconds"
        raise ValueError(
            f"{path}: its {name} patches are {patch}, and {size} is no multiple of them: pass "
            f"{options} that are, with such a --model.patch"
        )


def _require_maps(path: Path, name: str, stream: Any, model: Model) -> None:
    patch = (model.patch, model.patch)
    if tuple(stream.patch) != patch or tuple(stream.stride) != patch:
        raise ValueError(
            f"{path}: its {name} patches are {tuple(stream.patch)}, {tuple(stream.stride)} apart, "
            f"and this recipe's maps are of patches of {patch}: pass another --model.patch if one "
            "fits, or give another file"
        )
