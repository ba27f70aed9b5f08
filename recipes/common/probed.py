"""`load_probed`: the encoder of any supported file or run, with its front end."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from avblocks import AVEncoder, vit, zoo
from avblocks.checkpoint.folder import WEIGHTS
from avblocks.data import FrontEnd
from avblocks.files import sha256
from avblocks.nn import Stream
from avblocks.seed import seed_all
from avblocks.tasks.evaluate import Given
from recipes.common.data_settings import Data
from recipes.common.run_files import find
from recipes.common.runs import ENCODERS, load_encoder_run

_CHANNELS: Mapping[int, Given] = {3: "image", 1: "audio"}


@dataclass(frozen=True, kw_only=True)
class Probed:
    """An encoder and its input format.

    Attributes:
        path: The file or folder that was passed.
        sha256: Checksum of its weights.
        kind: Kind of the file, as in `avblocks.zoo`.
        parameters: Number of parameters of the encoder.
        encoder: The encoder; if it has a single modality, the stream of the other is not used.
        front_end: Front end that the encoder was trained with.
        given: Choices of input modalities.
    """

    path: Path
    sha256: str
    kind: str
    parameters: int
    encoder: AVEncoder
    front_end: FrontEnd
    given: tuple[Given, ...]

    def data(self, data: Data) -> Data:
        """Return the settings of the data with the clip format of the encoder, not augmented."""
        return replace(data, augment=False, **self.front_end.format.to_dict())

    def untrained(self, seed: int) -> "Probed":
        """Return an encoder of the same sizes at its initialization."""
        return replace(self, encoder=untrained(self.encoder, seed, "random encoder"))


def load_probed(path: Path, data: Data) -> Probed:
    """Load an encoder.

    Args:
        path: A run folder, a checkpoint in one, a folder of `recipes.export`, or a published file.
        data: Data settings with the clip format for DeepAVFusion's files, which do not contain one.

    Raises:
        ValueError: If the file is of no known kind, damaged, or of an unknown front end.
    """
    file = find(path, remedy=ENCODERS)
    weights = file / WEIGHTS if file.is_dir() else file
    if file.suffix == ".ckpt":
        encoder, front_end = load_encoder_run(file)
        return _probed(path, weights, "avblocks", encoder, front_end)
    loaded = zoo.load(file)
    known = loaded.saved is not None or loaded.kind != "avblocks"
    front_end = loaded.front_end if known else FrontEnd(data.format)
    if not known:
        print(f"note: {path} does not say its clip format: {data.format}, of --data", flush=True)
    return _probed(path, weights, loaded.kind, loaded.encoder, front_end)


def _probed(
    path: Path, weights: Path, kind: str, encoder: AVEncoder | Stream, front_end: FrontEnd
) -> Probed:
    found: Any = encoder
    both = isinstance(encoder, AVEncoder)
    given = ("both", "image", "audio") if both else (_CHANNELS[found.channels],)
    return Probed(
        path=path,
        sha256=sha256(weights),
        kind=kind,
        parameters=sum(p.numel() for p in found.parameters()),
        encoder=encoder if both else _one_stream(found, given[0]),
        front_end=front_end,
        given=given,
    )


def _one_stream(stream: Any, name: str) -> AVEncoder:
    """Return an encoder with a stream and no fusion; its other stream is a placeholder."""
    other = vit(stream.dim, depth=1, num_heads=1, size=8, patch=8)
    streams: dict[str, Any] = {"image": other, "audio": other, name: stream}
    return AVEncoder(**streams, fusion=[None] * len(list(stream.blocks)), num_tokens=0)


def untrained(encoder: AVEncoder, *seed: str | int) -> AVEncoder:
    """Return a copy of an encoder at its initialization.

    Raises:
        ValueError: If it has a parameter that no module initializes.
    """
    seed_all(*seed)
    encoder = copy.deepcopy(encoder)
    modules = list(encoder.named_modules())
    for name, module in reversed(modules):  # a module initializes those in it
        if callable(reset := getattr(module, "reset_parameters", None)):
            reset()
        elif any(p.numel() for p in module.parameters(recurse=False)):
            raise ValueError(f"{name}: {type(module).__name__} has no reset_parameters")
    return encoder.eval()
