"""Nearest neighbors by cosine similarity, for leave-one-out 1-NN accuracy."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from avblocks.metrics.values import require_finite
from avblocks.shapes import expect, require


def leave_one_out(
    features: Float[Tensor, "b d"], *others: Float[Tensor, "b d_other"], chunk: int = 1024
) -> tuple[Int64[Tensor, " b"], Float[Tensor, " b"]]:
    """Find the nearest other sample of each sample, by cosine similarity.

    Args:
        features: one row per sample.
        *others: further features of the same samples, whose similarities are added (the reference
            probes image, audio and fusion separately and together).
        chunk: number of rows compared at once, to limit memory.

    Returns:
        Index of the nearest other sample, and the similarity to it.

    Raises:
        ValueError: if there are fewer than two samples, the numbers of rows differ, or a value is
            not finite.

    Example:
        >>> index, similarity = leave_one_out(torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]]))
        >>> index
        tensor([1, 0, 1])
    """
    require(len(features) > 1, "features", len(features), "at least two samples")
    views = {f"others[{number}]": (other, f"b d_{number}") for number, other in enumerate(others)}
    expect(features=(features, "b d"), **views)
    require_finite(**{name: view for name, (view, _) in views.items()}, features=features)
    views = [F.normalize(x.float(), dim=1) for x in (features, *others)]
    indices, scores = [], []
    for start in range(0, len(features), chunk):
        part = torch.stack([x[start : start + chunk] @ x.T for x in views]).sum(0)
        rows = torch.arange(len(part), device=part.device)
        part[rows, start + rows] = -torch.inf
        score, index = part.max(dim=1)
        indices.append(index)
        scores.append(score)
    return torch.cat(indices), torch.cat(scores)
