"""The post-norm block of EAT, SSLAM and data2vec 2, against EAT's own tensors."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from avblocks import Block
from avblocks.nn.older import renamed


def compare(
    tensors: dict[str, Tensor], config: dict[str, Any]
) -> Iterator[tuple[str, Tensor, float, float]]:
    """The block's output."""
    state = {n.removeprefix("state."): x for n, x in tensors.items() if n.startswith("state.")}
    block = Block(
        config["dim"],
        num_heads=config["num_heads"],
        mlp_ratio=state["mlp.fc1.bias"].shape[0] / config["dim"],
        norm_eps=config["layer_norm_eps"],
        post_norm=True,
    )
    block.load_state_dict(renamed(block, state))
    with torch.no_grad():
        yield "output", block(tensors["input"]), 1e-4, 1e-5
