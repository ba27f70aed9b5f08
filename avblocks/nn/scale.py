"""Layer scale."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from avblocks.shapes import expect, require_above_zero, require_positive


class LayerScale(nn.Module):
    """Learned factor for each channel of a residual branch, with a small initial value.

    Args:
        dim: width of a token.
        start: initial value of all factors.

    Raises:
        ValueError: if a number is not positive.

    Source: Touvron et al., "Going deeper with image transformers" (ICCV 2021).

    Example:
        >>> LayerScale(64, start=0.5)(torch.ones(2, 10, 64)).sum()
        tensor(640., grad_fn=<SumBackward0>)
    """

    def __init__(self, dim: int, *, start: float = 1e-5) -> None:
        super().__init__()
        require_positive(dim=dim)
        require_above_zero(start=start)
        self.start = start
        self.gamma = nn.Parameter(torch.empty(dim))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set all factors to the initial value."""
        nn.init.constant_(self.gamma, self.start)

    def forward(self, x: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        """Scale the branch."""
        expect(x=(x, "b n d"), d=len(self.gamma))
        return x * self.gamma
