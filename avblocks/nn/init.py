"""Initial weights of linear layers."""

from torch import nn


def xavier(*linears: nn.Linear) -> None:
    """Xavier-uniform weights and zero biases, as in MAE and the reference."""
    for linear in linears:
        nn.init.xavier_uniform_(linear.weight)
        if linear.bias is not None:
            nn.init.zeros_(linear.bias)
