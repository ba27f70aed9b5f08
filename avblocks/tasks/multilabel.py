"""Scores of clips with several classes, from the logits that a classification scorer keeps."""

from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from avblocks.metrics import modality_confusion, multilabel_scores
from avblocks.shapes import require
from avblocks.tasks.evaluate import Given, Scores
from avblocks.tasks.predictions import Predictions


def multilabel_rows(
    predictions: Mapping[Given, Predictions], *, at: tuple[int, ...] = (1, 3, 5, 10)
) -> Scores:
    """Score predictions as VGGSounder does: a row for each choice of modalities, and confusion.

    To test on its labels by modality, list them with ``vggsounder(root, modality="audible")`` and
    evaluate audio alone, and so on.

    Args:
        predictions: `ClassificationScorer.predictions` after `evaluate`.
        at: numbers of classes to take as the predicted set.

    Returns:
        In percent, the values of `multilabel_scores` by ``given both`` and so on; and, if there are
        predictions from both modalities and from each alone, those of `modality_confusion` of the
        first class of each, as ``confusion``.

    Raises:
        ValueError: if there are no predictions.

    Example:
        >>> right = torch.eye(2)[:1]
        >>> found = Predictions(paths=("a",), target=right, scores={"all": right})
        >>> multilabel_rows({"audio": found}, at=(1,))["given audio"]["hit_rate@1"]
        100.0
    """
    require(len(predictions) > 0, "predictions", dict(predictions), "of at least one evaluation")
    rows: dict[str, Mapping[str, float]] = {
        f"given {given}": multilabel_scores(found.scores["all"], found.target, at=at)
        for given, found in predictions.items()
    }
    if predictions.keys() == {"both", "image", "audio"}:
        best = {given: _best(found.scores["all"]) for given, found in predictions.items()}
        rows["confusion"] = modality_confusion(predictions["both"].target, **best)
    return {name: {key: 100 * value for key, value in row.items()} for name, row in rows.items()}


def _best(scores: Float[Tensor, "b classes"]) -> Bool[Tensor, "b classes"]:
    best = torch.zeros_like(scores, dtype=torch.bool)
    return best.scatter_(1, scores.argmax(dim=1, keepdim=True), True)
