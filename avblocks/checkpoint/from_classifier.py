"""Conversion of classifiers of the reference: the encoder and the heads of the three streams."""

import re

from avblocks.checkpoint.from_deepavfusion import from_deepavfusion
from avblocks.checkpoint.read import State
from avblocks.checkpoint.report import Converted

_HEAD = re.compile(r"(image|audio|fusion)_(norm|head)\.(.+)")
_PARTS = {"norm": "norm", "head": "linear"}


def from_deepavfusion_classifier(state: State) -> Converted:
    """Convert a classifier of the reference to the names of an `AVEncoder` and a `Classifier`.

    Args:
        state: state dict of the file, with names starting with ``encoder.`` or with the head or
            norm of a stream, such as ``image_head.``.

    Returns:
        Weights with names starting with ``encoder.`` and ``head.``; for the head, keep the latter.

    Raises:
        ValueError: if it is not a file of the reference, or has no head.

    Example:
        >>> import torch
        >>> names = ("encoder.fusion_tokens", "encoder.fusion_norm.bias", "audio_head.bias")
        >>> sorted(from_deepavfusion_classifier({name: torch.zeros(8) for name in names}).state)
        ['encoder.fusion_norm.bias', 'encoder.fusion_tokens', 'head.audio.linear.bias']
    """
    encoder = from_deepavfusion(state)
    if not any(map(_HEAD.fullmatch, state)):
        raise ValueError("not a DeepAVFusion classifier: it has no 'fusion_head'")
    return Converted({_rename(k): v for k, v in encoder.state.items()}, encoder.dropped)


def _rename(name: str) -> str:
    head = _HEAD.fullmatch(name)
    return f"head.{head[1]}.{_PARTS[head[2]]}.{head[3]}" if head else name
