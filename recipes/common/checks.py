"""Checks of a configuration before any data is read; errors name the options."""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import torch

from avblocks.data import ClipFormat
from recipes.common.data_settings import Data
from recipes.common.model import Model, build_autoencoder, build_encoder, check_sizes
from recipes.engine.ranges import check_ranges

RULES = {
    "at least 0": ("warmup", "local", "negatives", "hidden"),
    "at least 1": ("batch", "epochs", "evaluate_every", "windows", "dim_out", "width"),
    "at least 2": ("sources",),
    "above 0 and at most 1": ("layer_decay", "patches"),
    "finite and above 0": ("base_lr", "temperature"),
    "finite and at least 0": (
        *("contrast", "contrast_weight", "weight_decay", "mixup", "cutmix", "dice"),
    ),
    "from 0 to 0.5": ("positives",),
    "from 0 to below 1": ("drop_path", "smoothing", "left_out", "negative_audio", "beta2"),
    "between 0 and 1": ("image_mask", "audio_mask"),
}
"""Ranges of the settings of recipes."""
_ENCODER = {"num_heads": "heads", "ratio": "mlp_ratio"}
_DECODER = {"num_heads": "decoder_heads", "dim": "decoder_dim", "depth": "decoder_depth"}
"""Arguments of builders whose options have other names."""

OF_FRAMES = "reads clips of {} frames, and windows of a FILE have one image each"
"""Error of models of videos, which read data sets only."""


def check_numbers(config: Any) -> None:
    """Raise a ValueError that names the option if a setting of a recipe is out of range."""
    check_ranges(config, RULES)
    mixup, cutmix = getattr(config, "mixup", 0), getattr(config, "cutmix", 0)
    if mixup and cutmix:
        raise ValueError(f"--mixup {mixup} and --cutmix {cutmix} exclude each other: set one to 0")
    if cutmix and getattr(config, "contrast", None) == 0:
        raise ValueError("--cutmix is for the images of --contrast, which is 0: give --contrast 1")
    left_out, given = getattr(config, "left_out", 0), getattr(config, "given", "both")
    if left_out and given != "both":
        raise ValueError(f"--left-out {left_out} leaves nothing of --given {given}: set it to 0")
    if config.warmup >= config.epochs:
        raise ValueError(f"--warmup {config.warmup} must be less than --epochs {config.epochs}")


def hop_samples(seconds: float, format: ClipFormat, *, of: object) -> int:
    """Return the samples of a ``--hop`` in seconds.

    Args:
        seconds: Seconds from one window to the next.
        format: The clip format of a model.
        of: The model, for the error.

    Raises:
        ValueError: If windows would leave gaps, or never advance.
    """
    hop = round(seconds * format.rate) if math.isfinite(seconds) else 0
    if not 1 <= hop <= format.samples:
        raise ValueError(
            f"--hop must be above 0 and at most {format.seconds:g}, the windows of {of}, got "
            f"{seconds:g}"
        )
    return hop


def check_model(model: Model, data: Data, *, drop_path: float = 0.0) -> None:
    """Raise a ValueError that names the option if a model of these sizes cannot be built."""
    check_sizes(model, data)
    with torch.device("meta"):
        _naming(lambda: build_encoder(model, data, drop_path=drop_path), _ENCODER)
        if model.fusion != "joint":
            _naming(lambda: build_autoencoder(model, data), _DECODER)


def _naming(build: Callable[[], object], names: Mapping[str, str]) -> None:
    try:
        build()
    except ValueError as error:
        found = re.fullmatch(r"(\w+) (must .*)", str(error))
        if found is None:
            raise
        option = names.get(found[1], found[1]).replace("_", "-")
        raise ValueError(f"--model.{option} {found[2]}") from error
