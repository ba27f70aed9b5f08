"""Layer scale."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from avblocks.shapes import require_positive


class LayerScale(nn.Module):
    """A learned factor on each value of a residual branch (CaiT, DINOv2).

    Args:
        dim: width of a token.
        init: initial factor.

    Raises:
        ValueError: if ``dim`` is not positive.

    Example:
        >>> LayerScale(4, init=0.5)(torch.ones(1, 1, 4))
        tensor([[[0.5000, 0.5000, 0.5000, 0.5000]]], grad_fn=<MulBackward0>)
    """

    def __init__(self, dim: int, *, init: float = 1e-5) -> None:
        super().__init__()
        require_positive(dim=dim)
        self.init = init
        self.gamma = nn.Parameter(torch.empty(dim))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """All factors at ``init``."""
        nn.init.constant_(self.gamma, self.init)

    def forward(self, x: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        """The branch, scaled."""
        return x * self.gamma
