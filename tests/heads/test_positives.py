"""Clips whose audio is alike: clusters are found, and shares are kept."""

import pytest
import torch
from torch.testing import assert_close

from avblocks.heads import clip_relations, diffusion_map


def test_affinity_is_that_of_a_random_walk_on_mutual_neighbors() -> None:
    x = torch.randn(30, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    codes = diffusion_map(x, neighbors=6, steps=3, dim=30, components=3)
    values, axes = torch.linalg.eigh(x.T.cov())
    z = (x - x.mean(0)) @ axes[:, 1:] / values[1:].sqrt()  # the three greatest variances
    z = z / z.norm(dim=1, keepdim=True)
    edges = [[0.0] * 30 for _ in range(30)]
    near = [sorted(range(30), key=lambda j, i=i: -float(z[i] @ z[j]))[:7] for i in range(30)]
    for i in range(30):
        for j in range(30):
            edges[i][j] = float(j in near[i] and i in near[j])
    walk = torch.tensor(edges, dtype=torch.float64)
    degrees = walk.sum(dim=1)
    chance = degrees / degrees.sum()
    step = walk / degrees[:, None]
    # An odd number of steps has negative eigenvalues, which the embedding leaves out.
    values, vectors = torch.linalg.eigh(walk / degrees.sqrt()[:, None] / degrees.sqrt())
    negative = (vectors * values.clamp(max=0) ** 3) @ vectors.T
    negative = negative / degrees.sqrt()[:, None] / degrees.sqrt() * degrees.sum()
    assert_close(codes @ codes.T, torch.linalg.matrix_power(step, 3) / chance - negative)


def test_long_clusters_are_told_apart() -> None:
    """Two rings: distant items of one are closer in the graph than near items of the other."""
    angles = torch.linspace(0, 6.28, 201, dtype=torch.float64)[:200]
    ring = torch.stack([angles.cos(), angles.sin(), 0 * angles], dim=1)
    x = torch.cat([ring + torch.tensor([0, 0, 0.5]), ring - torch.tensor([0, 0, 0.5])])
    codes = diffusion_map(x, neighbors=8, steps=200)
    same = torch.arange(400) < 200
    affinity = codes @ codes.T
    assert affinity[same][:, same].min() > affinity[same][:, ~same].abs().max()


def test_equal_items_are_alike() -> None:
    x = torch.tensor([[0.0, 1.0]] * 6 + [[1.0, 0.0]] * 6)
    codes = diffusion_map(x, neighbors=2, components=1)
    assert codes.isfinite().all() and (codes[:6] @ codes[6:].T).abs().max() < 1e-4


def test_shares_of_the_pairs() -> None:
    codes = torch.randn(20, 6, generator=torch.Generator().manual_seed(1))
    relations = clip_relations(codes, positives=0.1, negatives=0.5)
    assert torch.equal(relations, relations.T) and (relations.diagonal() == 1).all()
    assert 0.1 <= (relations == 1).double().mean() <= 0.15
    assert abs((relations == -1).double().mean() - 0.5) < 0.01
    affinity = codes @ codes.T
    assert affinity[relations == -1].max() <= affinity[relations == 0].min()
    with pytest.raises(ValueError, match="shares of the pairs"):
        clip_relations(codes, positives=0.6, negatives=0.5)
    with pytest.raises(ValueError, match="two items or more"):
        diffusion_map(torch.zeros(1, 3))
