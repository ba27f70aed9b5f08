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
    call computes the eigenvectors of a matrix of ``dim`` x ``dim``, which synchronizes a GPU. All
    is computed in float64, also under autocast and if the model is cast to another data type: the
    averages return to float64 in the next training batch.

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
        self.register_buffer("mean", torch.empty(dim, dtype=torch.float64))
        self.register_buffer("covariance", torch.empty(dim, dim, dtype=torch.float64))
        self.register_buffer("batches", torch.empty((), dtype=torch.float64))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Forget all batches."""
        for average in (self.mean, self.covariance, self.batches):
            nn.init.zeros_(average)

    @torch.no_grad()
    def forward(self, features: Float[Tensor, "b d"]) -> Float[Tensor, "b k"]:
        """Whiten rows in float64, to float32; in training, update the averages first."""
        expect(features=(features, "b d"), d=len(self.mean))
        require(len(features) > 0, "features", len(features), "of at least one sample")
        with torch.autocast(features.device.type, enabled=False):
            features = features.double()
            if self.training:
                self._update(gather_with_grad(features))
            variances, axes = torch.linalg.eigh(self.covariance.double())
            kept = slice(len(self.mean) - self.components, None)
            # Below the rounding of the averages, a variance is noise.
            least = max(1e-12, torch.finfo(self.covariance.dtype).eps)
            scales = variances[kept].clamp(min=least * variances[-1]).clamp(min=1e-12).sqrt()
            rows = (features - self.mean.double()) @ axes[:, kept] / scales
            return F.normalize(rows, dim=1).float()

    def _update(self, features: Float[Tensor, "all_b d"]) -> None:
        # If the model was cast, they are too coarse for averages that change by hundredths.
        self.mean, self.covariance = self.mean.double(), self.covariance.double()
        self.batches = self.batches.double()
        # A loop that skips a batch with NaN continues with the averages of the batches before.
        finite = features.isfinite().all()
        features = torch.where(finite, features, 0.0)
        self.batches += finite
        weight = finite / self.batches.clamp(min=1)
        weight = torch.where(finite, weight.clamp(min=self.momentum), 0.0)
        self.mean += weight * (features.mean(dim=0) - self.mean)
        centered = features - self.mean
        self.covariance += weight * (centered.T @ centered / len(features) - self.covariance)
