"""Stochastic depth."""

from jaxtyping import Float
from torch import Tensor, nn

from avblocks.shapes import require


class DropPath(nn.Module):
    """Drop a residual branch for whole samples in training, scaled to keep its mean.

    Args:
        rate: fraction of the samples whose branch is dropped.

    Raises:
        ValueError: if ``rate`` is not in [0, 1).

    Example:
        >>> import torch
        >>> DropPath(0.5).eval()(torch.ones(2, 3, 4)).sum()
        tensor(24.)
    """

    def __init__(self, rate: float = 0.0) -> None:
        super().__init__()
        require(0.0 <= rate < 1.0, "drop path rate", rate, "in [0, 1)")
        self.rate = rate

    def forward(self, x: Float[Tensor, " b *shape"]) -> Float[Tensor, " b *shape"]:
        """The branch, or zeros for the samples that drop it."""
        if self.rate == 0.0 or not self.training:
            return x
        keep = 1.0 - self.rate
        each = x.new_empty(x.shape[0], *(1 for _ in x.shape[1:]))
        return x * each.bernoulli_(keep).div_(keep)
