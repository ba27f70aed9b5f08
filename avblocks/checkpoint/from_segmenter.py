"""Conversion of segmentation models of the reference (``models/avsegm.py``)."""

import re

from avblocks.checkpoint.from_deepavfusion import from_deepavfusion
from avblocks.checkpoint.read import State
from avblocks.checkpoint.report import Converted

# Prefixes of the names in the reference and in avblocks.
_RENAMES = {
    "normv.": "norm_image.",
    "proja.": "project_audio.",
    "norma.": "norm_audio.",
    "top.": "pyramid.top.",
    "lat.": "pyramid.laterals.",
    "up.": "pyramid.rises.",
    "predictor.0.": "hidden.",
    "predictor.2.": "pred.",
}
_CONVOLUTIONS = {"0": "conv1", "1": "norm1", "3": "conv2", "4": "norm2"}
_BEGIN = re.compile("|".join(map(re.escape, _RENAMES)))


def from_deepavfusion_segmenter(state: State) -> Converted:
    """Convert a segmentation model of the reference to an `AVEncoder` and a `Segmenter`.

    Args:
        state: state dict of the file, or of the decoder in it.

    Returns:
        Weights with names starting with ``encoder.``, if the file has one, and with ``head.``.

    Raises:
        ValueError: if it is not a file of the reference.

    Example:
        >>> import torch
        >>> state = {"normv.0.bias": torch.zeros(8), "up.0.conv.double_conv.1.bias": torch.ones(4)}
        >>> sorted(from_deepavfusion_segmenter(state).state)
        ['head.norm_image.0.bias', 'head.pyramid.rises.0.conv.norm1.bias']
    """
    if not any(key.startswith("normv.") for key in state):
        raise ValueError("not a DeepAVFusion segmenter: it has no 'normv.0.weight'")
    inside = {key: value for key, value in state.items() if key.startswith("encoder.")}
    encoder = from_deepavfusion(inside) if inside else Converted({})
    head = {_renamed(key): value for key, value in state.items() if key not in inside}
    return Converted(encoder.state | head, encoder.dropped)


def _renamed(name: str) -> str:
    ours = _BEGIN.sub(lambda begin: _RENAMES[begin[0]], name, count=1)
    ours = re.sub(r"double_conv\.(\d)", lambda found: _CONVOLUTIONS[found[1]], ours)
    return "head." + ours
