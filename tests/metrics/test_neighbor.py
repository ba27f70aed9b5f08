"""The nearest other sample, against a plain loop."""

import pytest
import torch
from torch import Tensor

from avblocks.metrics import leave_one_out


def slow(views: list[Tensor]) -> list[int]:
    best = []
    for i in range(len(views[0])):
        scores = [
            sum(torch.cosine_similarity(x[i], x[j], dim=0).item() for x in views)
            if j != i
            else -torch.inf
            for j in range(len(views[0]))
        ]
        best.append(max(range(len(scores)), key=scores.__getitem__))
    return best


@pytest.mark.parametrize("chunk", [1, 4, 100])
def test_equals_a_loop(chunk: int) -> None:
    random = torch.Generator().manual_seed(0)
    views = [torch.randn(11, d, generator=random) for d in (5, 7)]
    for some in (views[:1], views):
        index, similarity = leave_one_out(*some, chunk=chunk)
        assert index.tolist() == slow(some)
        assert (similarity <= len(some)).all()
        assert (index != torch.arange(11)).all()


def test_length_does_not_matter() -> None:
    features = torch.randn(9, 4, generator=torch.Generator().manual_seed(1))
    scaled = features * torch.arange(1, 10)[:, None]
    assert torch.equal(leave_one_out(features)[0], leave_one_out(scaled)[0])


@pytest.mark.usefixtures("unchecked")
def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match="at least two"):
        leave_one_out(torch.zeros(1, 3))
    with pytest.raises(ValueError, match="others"):
        leave_one_out(torch.zeros(3, 3), torch.zeros(2, 3))


@pytest.mark.parametrize("name", ["features", "others"])
def test_features_must_be_finite(name: str) -> None:
    views = {"features": torch.rand(3, 2), "others": torch.rand(3, 2)}
    views[name][0, 0] = torch.nan
    with pytest.raises(ValueError, match=f"{name}.*finite"):
        leave_one_out(*views.values())
