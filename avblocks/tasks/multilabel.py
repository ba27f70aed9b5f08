"""Scores of clips with several classes, from the logits that a classification scorer keeps."""

from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from avblocks.data.datasets import ClipSet
from avblocks.metrics import modality_confusion, multilabel_scores
from avblocks.shapes import require
from avblocks.tasks.evaluate import Given, Scores
from avblocks.tasks.predictions import Predictions


def multilabel_rows(
    predictions: Mapping[Given, Predictions], *, at: tuple[int, ...] = (1, 3, 5, 10)
) -> Scores:
    """Score predictions as VGGSounder does: a row for each input modality, and modality confusion.

    To test on its labels by modality, list them with ``vggsounder(root, modality="audible")`` and
    evaluate audio alone, and so on.

    Args:
        predictions: `ClassificationScorer.predictions` after `evaluate`.
        at: numbers of classes to take as the predicted set.

    Returns:
        In percent, the values of `multilabel_scores` by ``given both`` and so on. If there are
        predictions from both modalities and from each alone, the row ``confusion`` has the
        `modality_confusion` of their most likely classes.

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


def tagged_rows(
    predictions: Mapping[Given, Predictions],
    labels: Mapping[str, ClipSet],
    *,
    at: tuple[int, ...] = (1, 3, 5, 10),
) -> Scores:
    """Score predictions with the labels of each modality, as `multilabel_rows` does with one set.

    Args:
        predictions: `ClassificationScorer.predictions` after `evaluate`.
        labels: Clips with their labels by modality: ``vggsounder(root, modality=name)`` by name.
            Clips without a label, or without a prediction, are left out.
        at: numbers of classes to take as the predicted set.

    Returns:
        The rows of `multilabel_rows`, as ``audible labels, given audio`` and so on; those with all
        labels first. Modality confusion is that of all labels alone, as VGGSounder defines it.

    Raises:
        ValueError: if there are no predictions, or the classes differ.
    """
    rows: dict[str, Mapping[str, float]] = {}
    for name, clips in labels.items():
        found: dict[Given, Predictions] = {
            given: relabeled(one, clips) for given, one in predictions.items()
        }
        if all(len(one.paths) for one in found.values()):
            for title, row in multilabel_rows(found, at=at).items():
                if title != "confusion":
                    rows[f"{name.replace('_', ' ')} labels, {title}"] = row
                elif name == "all":
                    rows["modality confusion"] = row
    return rows


def relabeled(predictions: Predictions, clips: ClipSet) -> Predictions:
    """Return the predictions of the clips of a set, with the labels that they have in it.

    Raises:
        ValueError: if the numbers of classes differ.

    Example:
        >>> from avblocks.data.datasets import Item
        >>> found = Predictions(paths=("a", "b"), target=torch.eye(2), scores={"all": torch.eye(2)})
        >>> other = ClipSet("other", (Item(path="b", id="b", labels=(0, 1)),), classes=("x", "y"))
        >>> relabeled(found, other).target
        tensor([[1., 1.]])
    """
    count = predictions.target.shape[1]
    require(len(clips.classes) == count, "classes", len(clips.classes), f"the {count} predicted")
    labels = {item.path: list(item.labels) for item in clips.items}
    rows = [row for row, path in enumerate(predictions.paths) if path in labels]
    paths = tuple(predictions.paths[row] for row in rows)
    target = torch.zeros(len(rows), count)
    for row, path in enumerate(paths):
        target[row, labels[path]] = 1.0
    scores = {name: value[rows] for name, value in predictions.scores.items()}
    return Predictions(paths=paths, target=target, scores=scores)


def _best(scores: Float[Tensor, "b classes"]) -> Bool[Tensor, "b classes"]:
    best = torch.zeros_like(scores, dtype=torch.bool)
    return best.scatter_(1, scores.argmax(dim=1, keepdim=True), True)
