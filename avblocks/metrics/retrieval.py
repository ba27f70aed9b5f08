"""Retrieval between images and audio: recall at k and median rank, in both directions."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from avblocks.metrics.values import require_numbers
from avblocks.shapes import expect, require


def match_ranks(similarity: Float[Tensor, "n n"]) -> Float[Tensor, " n"]:
    """Compute the rank, from 1, of the match of each query among all candidates.

    A candidate as similar as the match counts half, so constant similarities result in the middle
    rank for every query. The script of CAV-MAE takes a rank from every position in the sorted row
    that equals the match, and so counts a query with ties several times.

    Args:
        similarity: similarity of query i and candidate j at ``[i, j]``; the match of query i is
            candidate i.

    Raises:
        ValueError: if there are no queries, the matrix is not square, or a similarity is NaN.

    Example:
        >>> import torch
        >>> match_ranks(torch.tensor([[0.9, 0.1, 0.5], [0.7, 0.2, 0.2], [0.0, 0.5, 0.4]]))
        tensor([1.0000, 2.5000, 2.0000])
    """
    count = len(similarity)
    require(count > 0, "similarity", tuple(similarity.shape), "of at least one query")
    expect(similarity=(similarity, "n n"))
    require_numbers(similarity=similarity)
    match_ = similarity.diagonal()[:, None]
    greater = (similarity > match_).sum(1)
    ties = (similarity == match_).sum(1) - 1
    return 1 + greater + ties / 2


def retrieval_scores(
    similarity: Float[Tensor, "n n"], *, at: Sequence[int] = (1, 5, 10)
) -> dict[str, dict[str, float]]:
    """Compute recall at k, in percent, and the median rank, in both directions.

    Args:
        similarity: similarity of image i and audio j at ``[i, j]``.
        at: the values of k.

    Returns:
        Scores by direction (``image_to_audio``, ``audio_to_image``) and name (``r1`` etc.,
        ``median_rank``).

    Raises:
        ValueError: as in `match_ranks`, or if a value of k is not positive.

    Example:
        >>> import torch
        >>> retrieval_scores(torch.eye(4), at=(1,))["image_to_audio"]
        {'r1': 100.0, 'median_rank': 1.0}
    """
    require(all(k > 0 for k in at), "at", at, "positive numbers")
    return {
        name: {f"r{k}": 100 * float((ranks <= k).float().mean()) for k in at}
        | {"median_rank": float(ranks.quantile(0.5))}
        for name, ranks in (
            ("image_to_audio", match_ranks(similarity)),
            ("audio_to_image", match_ranks(similarity.T)),
        )
    }
