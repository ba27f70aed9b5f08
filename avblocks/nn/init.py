"""Initial weights of linear layers."""

import torch
from torch import nn


def xavier(*linears: nn.Linear) -> None:
    """Xavier-uniform weights and zero biases, as in MAE and the reference."""
    for linear in linears:
        nn.init.xavier_uniform_(linear.weight)
        _zero_bias(linear)


def xavier_joint(*linears: nn.Linear, dim: int = 0) -> None:
    """`xavier` for layers that are parts of one matrix in the papers, joined along ``dim``.

    The bound is that of the joined matrix, as if queries, keys and values were one layer.
    """
    weights = [linear.weight.detach() for linear in linears]
    whole = nn.init.xavier_uniform_(torch.empty_like(torch.cat(weights, dim=dim)))
    parts = whole.split([weight.shape[dim] for weight in weights], dim=dim)
    for linear, weight, part in zip(linears, weights, parts, strict=True):
        weight.copy_(part)
        _zero_bias(linear)


def _zero_bias(linear: nn.Linear) -> None:
    if linear.bias is not None:
        nn.init.zeros_(linear.bias)
