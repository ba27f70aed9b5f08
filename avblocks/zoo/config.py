"""Numbers that transformers keeps in ``config.json``, beside the weights of a model."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from avblocks.checkpoint.folder import CONFIG
from avblocks.jsonfile import Shape, read_json, shape_fault

_NUMBERS: dict[str, tuple[str, Shape]] = {
    "num_heads": ("num_attention_heads", int),
    "decoder_heads": ("decoder_num_attention_heads", int),
    "norm_eps": ("layer_norm_eps", float),
    "mels": ("num_mel_bins", int),
    "frames": ("max_length", int),
}
_OTHERS: dict[str, Shape] = {
    "frequency_stride": int,
    "time_stride": int,
    "num_frames": int,
    "num_channels": int,
    "image_size": (int, [int]),
}
_WEIGHTS = re.compile(r"(pytorch_)?model[.-].*(safetensors|bin|index\.json)")
_EPS = {"dinov2": 1e-6, "dinov2_with_registers": 1e-6}  # defaults; of the others 1e-12


def beside(path: Path, name: str) -> Path | None:
    """Return a file in a folder of a model, or beside its weights; None if there is none.

    Weights are known by the names that transformers and timm give them: a file of another name may
    be in one folder with the configuration of another model.
    """
    file = (path if path.is_dir() else path.parent) / name
    theirs = path.is_dir() or _WEIGHTS.fullmatch(path.name)
    return file if theirs and file.is_file() else None


def config_sizes(path: Path) -> dict[str, Any]:
    """Read the numbers of a model of transformers that are not in its tensors.

    Args:
        path: its folder, or a file of weights beside its ``config.json``.

    Returns:
        Those of ``num_heads``, ``decoder_heads``, ``norm_eps``, ``mels``, ``frames``, ``stride``
        and ``size`` that the configuration has; none if it is of something else, such as a model
        of timm.

    Raises:
        ValueError: if the configuration is damaged, of another activation than GELU, or of a model
            of gray images, whose weights are like those of a model of spectrograms.
    """
    file = beside(path, CONFIG)
    content = {} if file is None else read_json(file, remedy="download it again")
    if file is None or not isinstance(content, dict) or "num_attention_heads" not in content:
        return {}
    _check(file, content)
    content.setdefault("layer_norm_eps", _EPS.get(str(content.get("model_type")), 1e-12))
    numbers = {ours: content[name] for ours, (name, _) in _NUMBERS.items() if name in content}
    if "frequency_stride" in content and "time_stride" in content:
        numbers["stride"] = (content["frequency_stride"], content["time_stride"])
    if "image_size" in content:
        numbers["size"] = _size(content)
    return numbers


def _size(content: Mapping[str, Any]) -> tuple[int, ...]:
    """Return the sides of an image, or of a video."""
    side = content["image_size"]
    frames = [content["num_frames"]] if "num_frames" in content else []
    return (*frames, *([side, side] if isinstance(side, int) else side))


def _check(file: Path, content: Mapping[str, Any]) -> None:
    """Raise a ``ValueError`` if a number is none, or the model is of a kind without a builder."""
    shapes = dict(_NUMBERS.values()) | _OTHERS
    for name, shape in shapes.items():
        value = content.get(name, 0)
        if isinstance(value, bool) or (name in content and shape_fault(value, shape)):
            raise ValueError(f"{file}: {name} is {value!r}; download it again")
    act = content.get("hidden_act", "gelu")
    if act != "gelu":
        raise ValueError(f"{file}: its activation is {act!r}, and that of these models is 'gelu'")
    if content.get("num_channels") == 1:
        raise ValueError(
            f"{file}: a model of images of one channel, which would be read as one of spectrograms"
        )
