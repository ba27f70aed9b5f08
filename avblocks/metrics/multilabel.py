"""Agreement of sets of classes: hits, F1, precision, recall and Jaccard index of the top k classes.

Source: VGGSounder (Zverev et al., ICCV 2025), ``benchmark.py`` of the package ``vggsounder`` 1.0.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from avblocks.metrics.classify import first_classes, mean_average_precision
from avblocks.metrics.values import require_binary
from avblocks.shapes import expect, require


def predicted_set_scores(
    predicted: Bool[Tensor, "b classes"], target: Float[Tensor, "b classes"]
) -> dict[str, float]:
    """Compare the set of predicted classes of each sample with its set of true classes.

    Args:
        predicted: True for each predicted class.
        target: 1 for each class of a sample, else 0.

    Returns:
        From 0 to 1: ``hit_rate``, the fraction of samples with a predicted class that is true;
        ``accuracy``, that of samples whose sets are equal; ``precision``, ``recall``, ``f1`` and
        ``jaccard`` of all pairs of sample and class together (micro); and ``f1_macro``, the mean
        of the F1 of all classes, in which a class that is neither true nor predicted counts as 0.
        A ratio 0 / 0 counts as 0.

    Raises:
        ValueError: if there is no sample, shapes differ, or the target is not 0 or 1.

    Example:
        >>> target = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
        >>> scores = predicted_set_scores(torch.eye(3)[[0, 1]] == 1, target)
        >>> scores["hit_rate"], scores["precision"], round(scores["recall"], 4)
        (0.5, 0.5, 0.3333)
    """
    expect(predicted=(predicted, "b classes"), target=(target, "b classes"))
    require(len(target) > 0, "target", len(target), "of at least one sample")
    require(predicted.dtype == torch.bool, "predicted", predicted.dtype, "booleans")
    require_binary(target=target)
    truth = target == 1
    right, either = predicted & truth, predicted | truth
    hits, guessed, true = (x.double().sum(dim=0) for x in (right, predicted, truth))
    return {
        "hit_rate": right.any(dim=1).double().mean().item(),
        "accuracy": (predicted == truth).all(dim=1).double().mean().item(),
        "precision": _ratio(hits.sum(), guessed.sum()).item(),
        "recall": _ratio(hits.sum(), true.sum()).item(),
        "f1": _ratio(2 * hits.sum(), guessed.sum() + true.sum()).item(),
        "f1_macro": _ratio(2 * hits, guessed + true).mean().item(),
        "jaccard": _ratio(hits.sum(), either.double().sum()).item(),
    }


def multilabel_scores(
    scores: Float[Tensor, "b classes"],
    target: Float[Tensor, "b classes"],
    *,
    at: tuple[int, ...] = (1, 3, 5, 10),
) -> dict[str, float]:
    """Score the k classes of the highest scores as the predicted set, for several k.

    Among equal scores, the lower class number comes first.

    Args:
        scores: logits or probabilities.
        target: 1 for each class of a sample, else 0.
        at: values of k; those above the number of classes are omitted.

    Returns:
        The values of `predicted_set_scores` as ``f1@3`` and so on, and ``map``, the mean average
        precision; from 0 to 1.

    Raises:
        ValueError: as in `predicted_set_scores`, or if a score is NaN.

    Example:
        >>> target = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
        >>> found = multilabel_scores(torch.tensor([[0.5, 0.4, 0.1], [0.7, 0.2, 0.1]]), target)
        >>> found["hit_rate@1"], found["recall@3"]
        (0.5, 1.0)
    """
    sets = {k: first_classes(scores, target, k=k) for k in at if k <= scores.shape[1]}
    found = {
        f"{name}@{k}": value
        for k, predicted in sets.items()
        for name, value in predicted_set_scores(predicted, target).items()
    }
    return found | {"map": mean_average_precision(scores, target)}


def modality_confusion(
    target: Float[Tensor, "b classes"],
    *,
    both: Bool[Tensor, "b classes"],
    image: Bool[Tensor, "b classes"],
    audio: Bool[Tensor, "b classes"],
) -> Mapping[str, float]:
    """Fraction of samples that are right with one modality and wrong with both together.

    Args:
        target: 1 for each class of a sample, else 0.
        both: True for each class that is predicted from both modalities.
        image: those predicted from the image alone.
        audio: those predicted from audio alone.

    Returns:
        From 0 to 1: ``image``, samples with a true class among those of the image and none among
        those of both; ``audio``, the same for audio; ``either_alone``, samples counted in both.

    Raises:
        ValueError: if shapes differ, or there is no sample.

    Example:
        >>> target, right, wrong = torch.eye(2)[:1], torch.eye(2)[:1] == 1, torch.eye(2)[1:] == 1
        >>> modality_confusion(target, both=wrong, image=right, audio=wrong)
        {'image': 1.0, 'audio': 0.0, 'either_alone': 0.0}
    """
    predicted = {"both": both, "image": image, "audio": audio}
    expect(target=(target, "b classes"), **{n: (x, "b classes") for n, x in predicted.items()})
    require(len(target) > 0, "target", len(target), "of at least one sample")
    hit = {name: (x & (target == 1)).any(dim=1) for name, x in predicted.items()}
    lost = {name: hit[name] & ~hit["both"] for name in ("image", "audio")}
    lost["either_alone"] = lost["image"] & lost["audio"]
    return {name: x.double().mean().item() for name, x in lost.items()}


def _ratio(part: Float[Tensor, "*classes"], whole: Float[Tensor, "*classes"]) -> Tensor:
    return torch.where(whole > 0, part / whole.clamp(min=1), 0.0)
