"""Retrieval: ranks by sorting, ties, and both directions."""

import pytest
import torch
from torch.testing import assert_close

from avblocks.metrics import match_ranks, retrieval_scores


def test_ranks_are_places_in_the_sorted_row() -> None:
    similarity = torch.randn(30, 30)
    order = similarity.argsort(dim=1, descending=True).tolist()
    places = [1.0 + row.index(query) for query, row in enumerate(order)]
    assert match_ranks(similarity).tolist() == places
    scores = retrieval_scores(similarity)["image_to_audio"]
    assert scores["r5"] == pytest.approx(100 * sum(place <= 5 for place in places) / 30)
    assert scores["median_rank"] == sorted(places)[14] / 2 + sorted(places)[15] / 2


def test_directions() -> None:
    similarity = torch.tensor([[1.0, 2.0], [0.0, 3.0]])
    scores = retrieval_scores(similarity, at=(1,))
    assert scores["image_to_audio"]["r1"] == 50
    assert scores["audio_to_image"]["r1"] == 100


def test_ties_count_once_and_half() -> None:
    assert match_ranks(torch.zeros(5, 5)).tolist() == [3.0] * 5
    constant = retrieval_scores(torch.zeros(5, 5), at=(1, 5))
    assert_close(constant["image_to_audio"], {"r1": 0.0, "r5": 100.0, "median_rank": 3.0})


@pytest.mark.usefixtures("unchecked")
def test_misfits_are_refused() -> None:
    with pytest.raises(ValueError, match="similarity must have shape"):
        match_ranks(torch.zeros(2, 3))
    with pytest.raises(ValueError, match="numbers, got 'NaN'"):
        match_ranks(torch.full((2, 2), torch.nan))
    with pytest.raises(ValueError, match="at must be positive"):
        retrieval_scores(torch.eye(2), at=(0,))
