"""Principal components of equal variance, from running statistics of the batches."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from avblocks.distributed import gather_with_grad
from avblocks.shapes import expect, require, require_positive, require_share


class RunningWhitening(nn.Module):
    """Scale the first principal components of features to unit variance, then rows to unit norm.

    Mean and covariance are exponential moving averages over the training batches of all processes;
    over the first ``1 / momentum`` batches they are plain averages. No gradient is computed. Each
    call computes the eigenvectors of a matrix of ``dim`` x ``dim``, which synchronizes a GPU.

    Args:
        dim: width of the features.
        components: principal components that are kept.
        momentum: weight of a batch in the averages.

    Raises:
        ValueError: if a number is out of range.

    Example:
        >>> x = torch.tensor([[1.0, 10.0], [1.0, -10.0], [-1.0, 10.0], [-1.0, -10.0]])
        >>> RunningWhitening(2, components=2)(x).abs()
        tensor([[0.7071, 0.7071],
                [0.7071, 0.7071],
                [0.7071, 0.7071],
                [0.7071, 0.7071]])
    """

    def __init__(self, dim: int, *, components: int, momentum: float = 0.01) -> None:
        super().__init__()
        require_positive(dim=dim, components=components)
        require(components <= dim, "components", components, f"at most the {dim} features")
        require_share(momentum=momentum)
        self.components, self.momentum = components, momentum
        self.mean: Tensor
        self.covariance: Tensor
        self.batches: Tensor
        self.register_buffer("mean", torch.zeros(dim, dtype=torch.float64))
        self.register_buffer("covariance", torch.zeros(dim, dim, dtype=torch.float64))
        self.register_buffer("batches", torch.zeros((), dtype=torch.float64))

    @torch.no_grad()
    def forward(self, features: Float[Tensor, "b d"]) -> Float[Tensor, "b k"]:
        """Whiten rows; in training, update the averages first."""
        expect(features=(features, "b d"), d=len(self.mean))
        features = features.double()
        if self.training:
            self._update(gather_with_grad(features))
        variances, axes = torch.linalg.eigh(self.covariance)
        kept = slice(len(self.mean) - self.components, None)
        scales = variances[kept].clamp(min=1e-12 * variances[-1]).clamp(min=1e-12).sqrt()
        rows = (features - self.mean) @ axes[:, kept] / scales
        return F.normalize(rows, dim=1).float()

    def _update(self, features: Float[Tensor, "all_b d"]) -> None:
        self.batches += 1
        weight = (1 / self.batches).clamp(min=self.momentum)
        self.mean += weight * (features.mean(dim=0) - self.mean)
        centered = features - self.mean
        self.covariance += weight * (centered.T @ centered / len(features) - self.covariance)
