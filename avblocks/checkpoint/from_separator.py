"""Conversion of separation models of the reference: the encoder and the U-Net."""

import re

from avblocks.checkpoint.from_deepavfusion import from_deepavfusion
from avblocks.checkpoint.read import State
from avblocks.checkpoint.report import Converted

_PREFIX = "avss_decoder."
# The reference numbers levels from the finest, 1, to the coarsest, 5; avblocks from the coarsest.
_LEVELS = 5
_NUMBERED = {
    "xa_norm.": ("laterals.{}.norm.", _LEVELS - 1),
    "cond": ("laterals.{}.condition.", _LEVELS),
    "lat": ("laterals.{}.up.", _LEVELS),
    "up": ("ups.{}.", _LEVELS - 1),
}
_LEVEL = re.compile(r"(xa_norm\.|cond|lat|up)(\d)\.")
_CONVOLUTIONS = {"0": "conv1", "1": "norm1", "3": "conv2", "4": "norm2"}


def from_deepavfusion_separator(state: State) -> Converted:
    """Convert a separation model of the reference to an `AVEncoder` and a `Separator`.

    Args:
        state: state dict of the file, with names starting with ``encoder.`` and ``avss_decoder.``.

    Returns:
        Weights with names starting with ``encoder.`` and ``head.``.

    Raises:
        ValueError: if it is not a file of the reference.
    """
    if not any(key.startswith(_PREFIX) for key in state):
        raise ValueError(f"not a DeepAVFusion separation checkpoint: no name is '{_PREFIX}...'")
    encoder = from_deepavfusion({k: v for k, v in state.items() if not k.startswith(_PREFIX)})
    head = {
        "head." + _renamed(key.removeprefix(_PREFIX)): value
        for key, value in state.items()
        if key.startswith(_PREFIX)
    }
    return Converted(encoder.state | head, encoder.dropped)


def _renamed(name: str) -> str:
    name = re.sub(r"double_conv\.(\d)", lambda found: _CONVOLUTIONS[found[1]], name)
    level = _LEVEL.match(name)
    if level:
        ours, last = _NUMBERED[level[1]]
        name = ours.format(last - int(level[2])) + name[level.end() :]
    return name.replace("xv_norm.", "image_norm.")
