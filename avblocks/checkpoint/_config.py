"""The numbers as JSON gives them back: each of its kind, none monstrous."""

import math
import reprlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, get_args

from avblocks.build import FusionName
from avblocks.checkpoint._numbers import Numbers

_MOST = 2**20
# Fixed positions are computed for each of them, whatever the size of the file.
_MOST_PATCHES = 2**16


def _count(value: Any) -> bool:
    return type(value) is int and 0 < value <= _MOST


def _counts(value: Any, *, length: int) -> bool:
    return isinstance(value, list) and len(value) == length and all(map(_count, value))


def _layers(value: Any) -> bool:
    return isinstance(value, list) and all(type(i) is int and 0 <= i < _MOST for i in value)


def _ratio(value: Any) -> bool:
    return type(value) in (int, float) and 0 < value <= 1024


def _share(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value < 1


_ONE: tuple[str, Callable[[Any], bool]] = (f"an integer from 1 to {_MOST}", _count)
_TWO = (f"two integers from 1 to {_MOST}", partial(_counts, length=2))
_TAKES: dict[str, dict[str, tuple[str, Callable[[Any], bool]]]] = {
    "av_vit": {
        "dim": _ONE,
        "depth": _TWO,
        "num_heads": _ONE,
        "image_size": _TWO,
        "audio_size": _TWO,
        "patch": _ONE,
        "fusion": (f"one of {get_args(FusionName)}", lambda value: value in get_args(FusionName)),
        "fusion_layers": ("layer indices", _layers),
        "num_tokens": (f"three integers from 1 to {_MOST}", partial(_counts, length=3)),
        "attn_ratio": ("a number above 0, at most 1024", _ratio),
        "mlp_ratio": ("a number above 0, at most 1024", _ratio),
        "drop_path": ("a number in [0, 1)", _share),
    },
    "av_mae": {
        "dim": _ONE,
        "depth": _ONE,
        "num_heads": _ONE,
        "normalize_targets": ("true or false", lambda value: isinstance(value, bool)),
    },
}


def checked(sections: Mapping[str, Any]) -> Numbers:
    """Numbers out of JSON, its lists made tuples.

    Args:
        sections: arguments by builder.

    Raises:
        ValueError: naming what is missing, unknown, of another kind or too large.
    """
    if "av_vit" not in sections:
        raise ValueError("it lacks 'av_vit'")
    numbers = {}
    for builder, values in sections.items():
        if builder not in _TAKES:
            raise ValueError(f"unknown {reprlib.repr(builder)}")
        numbers[builder] = _section(builder, values)
    sizes = numbers["av_vit"]
    for name in ("image_size", "audio_size"):
        if math.prod(sizes[name]) // sizes["patch"] ** 2 > _MOST_PATCHES:
            raise ValueError(f"av_vit.{name} {sizes[name]} has more than {_MOST_PATCHES} patches")
    return numbers


def _section(builder: str, values: Any) -> dict[str, Any]:
    takes = _TAKES[builder]
    if not isinstance(values, dict):
        raise ValueError(f"{builder} must hold numbers by name, got {reprlib.repr(values)}")
    for name in takes.keys() - values.keys():
        raise ValueError(f"{builder} lacks {name!r}")
    for name, value in values.items():
        if name not in takes:
            raise ValueError(f"{builder} has an unknown {reprlib.repr(name)}")
        words, fits = takes[name]
        if not fits(value):
            raise ValueError(f"{builder}.{name} must be {words}, got {reprlib.repr(value)}")
    return {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
