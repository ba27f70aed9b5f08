"""Encoders that `recipes.export` made: whether one is built like that of a recipe."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from avblocks import AVEncoder
from avblocks.checkpoint._folder import WEIGHTS as WEIGHTS
from avblocks.checkpoint._folder import is_ours as is_ours
from avblocks.checkpoint._numbers import numbers_of
from avblocks.checkpoint.pretrained import read_numbers

_FREE = ("image_size", "audio_size", "drop_path")


def check_same_numbers(encoder: AVEncoder, path: Path) -> None:
    """Check that an exported encoder is built like this one; the sizes of clips may differ.

    Args:
        encoder: The recipe's.
        path: A folder that `save_pretrained` wrote, or the weights in it; anything else is left
            alone.

    Raises:
        ValueError: If it is not; the message gives the options that make it so.
    """
    path = path.parent if path.name == WEIGHTS else path
    if not path.is_dir() or not is_ours(path):
        return
    theirs, own = (numbers["av_vit"] for numbers in (read_numbers(path), numbers_of(encoder)))
    wrong = [name for name in own if name not in _FREE and theirs[name] != own[name]]
    if "depth" in wrong and len(set(theirs["depth"])) > 1:
        raise ValueError(f"its ViTs have {theirs['depth']} blocks, and a recipe's as many each")
    if wrong:
        options = " ".join(_option(name, theirs[name]) for name in wrong)
        raise ValueError(f"it holds an encoder of other sizes: pass {options}")


def exported_sizes(path: Path) -> str:
    """The clips that an exported encoder was built for, if it is one."""
    path = path.parent if path.name == WEIGHTS else path
    if not path.is_dir() or not is_ours(path):
        return ""
    numbers = read_numbers(path)["av_vit"]
    return clip_sizes(numbers["image_size"], numbers["audio_size"])


def clip_sizes(image: Sequence[int], audio: Sequence[int]) -> str:
    """Tell the sizes of pictures and spectrograms."""
    pictures, sounds = (" x ".join(map(str, sides)) for sides in (image, audio))
    return f"{pictures} pixels and {sounds} mel bins and frames"


def _option(name: str, value: Any) -> str:
    if name in ("depth", "fusion_layers"):
        value = value[0] if name == "depth" else value or "none"
    option = "heads" if name == "num_heads" else name.replace("_", "-")
    words = " ".join(map(str, value)) if isinstance(value, tuple) else value
    return f"--model.{option} {words}"
