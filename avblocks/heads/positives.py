"""Semantic positives: pairs of clips whose audio is alike, found without labels."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int8
from torch import Tensor

from avblocks.shapes import expect, require, require_positive


def diffusion_map(
    features: Float[Tensor, "n d"],
    *,
    neighbors: int = 40,
    steps: int = 8,
    dim: int = 32,
    components: int = 40,
) -> Float[Tensor, "n k"]:
    """Embed items so that a dot product is the affinity of two items in their neighbor graph.

    Items are connected if each is among the nearest neighbors of the other, by the cosine
    similarity of the first principal components of the features, scaled to unit variance. The
    affinity is the probability that a random walk of ``steps`` steps leads from one to the other,
    relative to chance: it is high within a cluster of any shape, also between distant items.

    Args:
        features: features of all items; time and memory of the graph are O(n^2).
        neighbors: nearest neighbors of an item; all other items if there are fewer.
        steps: steps of the walk.
        dim: width of the embedding; the number of items if there are fewer.
        components: principal components, far fewer than items, because noise is scaled up too.

    Raises:
        ValueError: if there are fewer than two items, or an argument is not positive.

    Source: Coifman and Lafon, "Diffusion maps" (2006).

    Example:
        >>> x = torch.tensor([[0.0, 1.0], [0.1, 1.0], [1.0, 0.0], [1.0, 0.1]])
        >>> embedded = diffusion_map(x, neighbors=1, components=1)
        >>> (embedded @ embedded.T > 1).int()[0]
        tensor([1, 1, 0, 0], dtype=torch.int32)
    """
    n = len(features)
    require(n > 1 and features.ndim == 2, "features", tuple(features.shape), "of two items or more")
    require_positive(neighbors=neighbors, steps=steps, dim=dim, components=components)
    x = _whitened(features.double(), components=components)
    nearest = (x @ x.T).topk(min(neighbors + 1, n), dim=1).indices
    edges = torch.zeros(n, n, dtype=x.dtype, device=x.device).scatter_(1, nearest, 1.0)
    # Each item is its own neighbor, also among equal ones, so that no degree is zero.
    edges = (edges * edges.T).fill_diagonal_(1.0)
    degrees = edges.sum(dim=1).sqrt()
    values, vectors = torch.linalg.eigh(edges / degrees[:, None] / degrees)
    values, vectors = values[-dim:].clamp(min=0), vectors[:, -dim:]
    scale = degrees.square().sum().sqrt() / degrees
    return (scale[:, None] * vectors * values ** (steps / 2)).to(features.dtype)


def _whitened(x: Float[Tensor, "n d"], *, components: int) -> Float[Tensor, "n k"]:
    """Unit vectors along the principal components, whose variances are made equal."""
    scores, variances, _ = torch.linalg.svd(x - x.mean(dim=0), full_matrices=False)
    kept = variances[:components] > 1e-6 * variances[0]  # the last ones may be rounding alone
    return F.normalize(scores[:, :components][:, kept], dim=1)


def clip_relations(
    codes: Float[Tensor, "b k"], *, positives: float, negatives: float = 0.5
) -> Int8[Tensor, "b b"]:
    """Classify the pairs of a batch by their affinity: 1 alike, -1 unlike, 0 undecided.

    Args:
        codes: embeddings of the clips, from `diffusion_map`.
        positives: share of the pairs that are alike; each clip is alike itself.
        negatives: share of the pairs that are unlike.

    Raises:
        ValueError: if a share is not in [0, 1], or both exceed 1 together.

    Example:
        >>> clip_relations(torch.tensor([[2.0], [1.0], [-1.0]]), positives=0.4, negatives=0.4)
        tensor([[ 1,  1, -1],
                [ 1,  1, -1],
                [-1, -1,  1]], dtype=torch.int8)
    """
    expect(codes=(codes, "b k"))
    fits = min(positives, negatives) >= 0 and positives + negatives <= 1
    require(fits, "positives and negatives", (positives, negatives), "shares of the pairs")
    affinity = codes @ codes.T
    ordered = affinity.flatten().sort().values
    count = len(ordered)
    highest, lowest = int(count * positives), int(count * negatives)
    found = torch.zeros_like(affinity, dtype=torch.int8)
    if lowest:
        found[affinity <= ordered[lowest - 1]] = -1
    if highest:
        found[affinity >= ordered[count - highest]] = 1
    return found.fill_diagonal_(1)
