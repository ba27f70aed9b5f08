"""The feed-forward half of a transformer block."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from avblocks.nn.init import xavier
from avblocks.shapes import share_of


class Mlp(nn.Module):
    """Two linear layers with a GELU between them.

    Args:
        dim: width of a token.
        ratio: hidden width as a multiple of ``dim``.

    Raises:
        ValueError: if ``dim`` or the hidden width is not positive.

    Example:
        >>> import torch
        >>> Mlp(64)(torch.zeros(2, 10, 64)).shape
        torch.Size([2, 10, 64])
    """

    def __init__(self, dim: int, *, ratio: float = 4.0) -> None:
        super().__init__()
        hidden = share_of(dim, ratio=ratio)
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Xavier-uniform weights, zero biases."""
        xavier(self.fc1, self.fc2)

    def forward(self, x: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        """Transform each token independently."""
        return self.fc2(F.gelu(self.fc1(x)))
