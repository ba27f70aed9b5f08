"""Initial weights of linear layers."""

from torch import nn


def xavier(*linears: nn.Linear) -> None:
    """Xavier-uniform weights and zero biases, as MAE and the reference start every linear layer."""
    for linear in linears:
        nn.init.xavier_uniform_(linear.weight)
        if linear.bias is not None:
            nn.init.zeros_(linear.bias)
