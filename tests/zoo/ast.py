"""The Audio Spectrogram Transformer, against transformers' tensors."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from avblocks.zoo.ast import ast, ast_sizes, distilled_mean, from_ast

TOLERANCE = (1e-4, 1e-5)


def compare(
    tensors: dict[str, Tensor], config: dict[str, Any]
) -> Iterator[tuple[str, Tensor, float, float]]:
    """Tokens and their pooling, of spectrograms (b, frames, mels)."""
    state = {n.removeprefix("state."): x for n, x in tensors.items() if n.startswith("state.")}
    strides = config["frequency_stride"], config["time_stride"]
    sizes = ast_sizes(
        state,
        mels=config["num_mel_bins"],
        stride=strides,
        num_heads=config["num_attention_heads"],
    )
    model = ast(**sizes, norm_eps=config["layer_norm_eps"]).eval()
    model.load_state_dict(from_ast(state))
    with torch.no_grad():
        tokens = model(tensors["input.audio"].transpose(1, 2)[:, None])
    yield "tokens", tokens, *TOLERANCE
    yield "pooled", distilled_mean(tokens), *TOLERANCE
