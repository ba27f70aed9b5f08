"""Mean and deviation of inputs, as transformers and timm write them beside the weights."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from avblocks.checkpoint.folder import CONFIG
from avblocks.jsonfile import Shape, read_json
from avblocks.zoo.config import beside

Statistics = Mapping[str, tuple[Any, Any]]
"""Mean and divisor of ``"image"``, three numbers each, and of ``"audio"``, one each."""
_COLORS: Shape = [(float, int)]
_AGAIN = "download it again"


def statistics_of(path: Path) -> Statistics:
    """Read the statistics of inputs beside a file of weights, or in its folder.

    They are in ``preprocessor_config.json`` of transformers, or in ``pretrained_cfg`` of the
    ``config.json`` of timm.

    Raises:
        ValueError: if one of these files is damaged.
    """
    found: dict[str, tuple[Any, Any]] = {}
    if (file := beside(path, "preprocessor_config.json")) is not None:
        content = read_json(file, dict, remedy=_AGAIN)
        normalizes = content.get("do_normalize", True)
        if "image_mean" in content:
            mean, std = _read(file, {"image_mean": _COLORS, "image_std": _COLORS})
            found["image"] = (mean, std) if normalizes else ([0.0] * 3, [1.0] * 3)
        elif "num_mel_bins" in content:
            mean, std = _read(file, {"mean": (float, int), "std": (float, int)})
            found["audio"] = (mean, 2 * std) if normalizes else (0.0, 1.0)
    elif (file := beside(path, CONFIG)) is not None:
        content = read_json(file, remedy=_AGAIN)
        timm = content.get("pretrained_cfg") if isinstance(content, dict) else None
        if isinstance(timm, dict) and "mean" in timm:
            shape: Shape = {"pretrained_cfg": {"mean": _COLORS, "std": _COLORS}}
            whole = read_json(file, shape, remedy=_AGAIN)["pretrained_cfg"]
            found["image"] = whole["mean"], whole["std"]
    return found


def _read(file: Path, shapes: dict[str, Shape]) -> list[Any]:
    content = read_json(file, shapes, remedy=_AGAIN)
    return [content[name] for name in shapes]
