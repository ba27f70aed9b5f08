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
        act: activation in place of the GELU, such as ``nn.GELU("tanh")``.

    Raises:
        ValueError: if ``dim`` or the hidden width is not positive.

    Example:
        >>> import torch
        >>> Mlp(64)(torch.zeros(2, 10, 64)).shape
        torch.Size([2, 10, 64])
    """

    def __init__(self, dim: int, *, ratio: float = 4.0, act: nn.Module | None = None) -> None:
        super().__init__()
        hidden = share_of(dim, ratio=ratio)
        self.fc1 = nn.Linear(dim, hidden)
        self.act = act if act is not None else nn.GELU()
        self.fc2 = nn.Linear(hidden, dim)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Xavier-uniform weights, zero biases."""
        xavier(self.fc1, self.fc2)

    def forward(self, x: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        """Transform each token independently."""
        return self.fc2(self.act(self.fc1(x)))


class SwiGLU(nn.Module):
    """Gated linear unit with a SiLU (Shazeer 2020), an MLP with three matrices; names are timm's.

    Args:
        dim: width of a token.
        ratio: hidden width as a multiple of ``dim``; 8/3 has the parameters of an `Mlp` of 4.

    Raises:
        ValueError: if ``dim`` or the hidden width is not positive.

    Example:
        >>> import torch
        >>> SwiGLU(64)(torch.zeros(2, 10, 64)).shape
        torch.Size([2, 10, 64])
    """

    def __init__(self, dim: int, *, ratio: float = 8 / 3) -> None:
        super().__init__()
        hidden = share_of(dim, ratio=ratio)
        self.fc1_g = nn.Linear(dim, hidden)
        self.fc1_x = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Xavier-uniform weights, zero biases."""
        xavier(self.fc1_g, self.fc1_x, self.fc2)

    def forward(self, x: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        """Transform each token independently."""
        return self.fc2(F.silu(self.fc1_g(x)) * self.fc1_x(x))
