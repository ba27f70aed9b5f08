"""Segmentation metrics: AVSBench's, per image, with and without the background.

Each metric is computed in two steps, so that a test set can be scored in parts: first per image
(`iou_avsbench`, `class_scores`), then averaged over all images. Masks are class
numbers, 0 for background; scores are float64.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float, Float64, Int64, Integer
from torch import Tensor

from avblocks.metrics.values import require_numbers
from avblocks.shapes import expect, require, require_classes, require_positive

Classes = Bool[Tensor, "b height width"] | Integer[Tensor, "b height width"]

_BETA2 = 0.3  # beta² of F in AVSBench and in the reference: precision counts more than recall


def predicted_classes(
    logits: Float[Tensor, "b classes height width"],
) -> Int64[Tensor, "b height width"]:
    """Return the class of the highest logit; with one channel, 1 if the logit is above 0.

    Raises:
        ValueError: if a logit is NaN.

    Example:
        >>> predicted_classes(torch.tensor([[[[-1.0, 2.0]]]]))
        tensor([[[0, 1]]])
    """
    require_numbers(logits=logits)
    return (logits[:, 0] > 0).long() if logits.shape[1] == 1 else logits.argmax(dim=1)


def iou_avsbench(pred: Classes, target: Classes) -> Float64[Tensor, " b"]:
    """IoU of the foreground of each frame, with all classes merged.

    If the target is empty, it is the IoU of the background. The mean over all frames is the mIoU of
    AVSBench S4 and MS3 (``avs_s4/utils/utility.py``).

    Args:
        pred: class numbers or a binary mask.
        target: ground truth.

    Raises:
        ValueError: if the shapes differ.

    Example:
        >>> pred = torch.tensor([[[0, 1, 1, 0]], [[0, 1, 0, 0]]])
        >>> target = torch.tensor([[[0, 0, 1, 0]], [[0, 0, 0, 0]]])
        >>> iou_avsbench(pred, target)
        tensor([0.5000, 0.7500], dtype=torch.float64)
    """
    expect_like(pred, target)
    require_classes(pred=pred, target=target)
    ours, truth = (pred > 0).flatten(1), (target > 0).flatten(1)
    empty = ~truth.any(dim=1, keepdim=True)
    # Compare the foreground, or the background in frames without foreground.
    ours, truth = ours ^ empty, truth ^ empty
    return (ours & truth).sum(dim=1).double() / (ours | truth).sum(dim=1)


@dataclass(frozen=True)
class ClassScores:
    """Scores of each image and class; NaN if neither prediction nor target has the class.

    Attributes:
        iou: intersection over union.
        precision: fraction of the predicted pixels that are correct.
        recall: fraction of the target pixels that are predicted.
        fscore: F with beta² = 0.3.
    """

    iou: Float64[Tensor, "b classes"]
    precision: Float64[Tensor, "b classes"]
    recall: Float64[Tensor, "b classes"]
    fscore: Float64[Tensor, "b classes"]

    @classmethod
    def join(cls, parts: Sequence["ClassScores"]) -> "ClassScores":
        """Concatenate the scores of the parts of a test set."""
        names = [field.name for field in fields(cls)]
        return cls(*(torch.cat([getattr(part, name) for part in parts]) for name in names))


def class_scores(
    pred: Classes, target: Classes, *, num_classes: int, skip_empty: bool = True
) -> ClassScores:
    """Compute the scores of each class in each image from predicted classes.

    Args:
        pred: class numbers.
        target: ground truth.
        num_classes: number of classes with the background; 2 for binary masks.
        skip_empty: return NaN for images whose target is all background, which excludes them from
            the means (reference, ``eval_avsegm.py``; AVSBench's code for AVSS includes them).

    Raises:
        ValueError: if the shapes differ or a class number is out of range.

    Example:
        >>> pred, target = torch.tensor([[[0, 1, 1, 0]]]), torch.tensor([[[0, 0, 1, 0]]])
        >>> class_scores(pred, target, num_classes=3).iou
        tensor([[0.6667, 0.5000,    nan]], dtype=torch.float64)
    """
    expect_like(pred, target)
    require_classes(pred=pred, target=target)
    require_positive(num_classes=num_classes)
    predicted = _pixels(pred, num_classes, name="pred")
    true = _pixels(target, num_classes, name="target")
    # One bin more than the classes, for pixels where prediction and target differ.
    agreed = torch.where(pred == target, target.long(), num_classes)
    both = _pixels(agreed, num_classes + 1, name="agreed")[:, :-1]
    either = predicted + true - both
    unseen = either == 0
    if skip_empty:
        unseen = unseen | (target.flatten(1) == 0).all(dim=1, keepdim=True)
    precision, recall = both / predicted.clamp(min=1), both / true.clamp(min=1)
    scores = both / either.clamp(min=1), precision, recall, fscore(precision, recall)
    return ClassScores(*(score.masked_fill(unseen, torch.nan) for score in scores))


def mean_over_classes(
    score: Float64[Tensor, "b classes"], *, background: bool
) -> Float64[Tensor, ""]:
    """Average over the images with each class, then over the classes.

    Args:
        score: one of the `ClassScores`; NaN is excluded.
        background: whether to include class 0.

    Returns:
        The mean; NaN if no class is left.

    Example:
        >>> score = torch.tensor([[0.9, 0.5], [0.7, torch.nan]]).double()
        >>> mean_over_classes(score, background=True)
        tensor(0.6500, dtype=torch.float64)
    """
    return (score if background else score[:, 1:]).nanmean(dim=0).nanmean()


def miou_with_background(scores: ClassScores) -> Float64[Tensor, ""]:
    """Mean IoU over all classes (``miou`` of the reference, reported in the paper)."""
    return mean_over_classes(scores.iou, background=True)


def miou_no_background(scores: ClassScores) -> Float64[Tensor, ""]:
    """Mean IoU over all classes except the background (``miou_noBg`` of the reference)."""
    return mean_over_classes(scores.iou, background=False)


def mean_avss(score: Float64[Tensor, "b classes"], *, last: bool) -> Float64[Tensor, ""]:
    """Mean of AVSBench for AVSS, over all classes; classes that never occur count as 0.

    As in ``avss/test.py``, whose ``miou_noBg`` excludes the last class instead of the background,
    the first one. That code scores every clip as ten frames, with missing frames black and without
    target: include these, with `class_scores` and ``skip_empty=False``.

    Args:
        score: one of the `ClassScores`.
        last: whether to include the last class.

    Example:
        >>> mean_avss(torch.tensor([[0.8, 0.4, torch.nan]]).double(), last=True)
        tensor(0.4000, dtype=torch.float64)
    """
    each = score.nanmean(dim=0).nan_to_num(0.0)
    return (each if last else each[:-1]).mean()


def fscore(
    precision: Float64[Tensor, "b _"], recall: Float64[Tensor, "b _"]
) -> Float64[Tensor, "b _"]:
    """F with beta² = 0.3; 0 where precision and recall are 0."""
    product = (1 + _BETA2) * precision * recall
    return torch.where(product > 0, product / (_BETA2 * precision + recall), 0.0)


def _pixels(classes: Classes, num_classes: int, *, name: str) -> Float64[Tensor, "b classes"]:
    """Count the pixels of each class in each image."""
    wrong = classes[(classes < 0) | (classes >= num_classes)]
    require(len(wrong) == 0, name, wrong[:3].tolist(), f"class numbers in [0, {num_classes})")
    return histogram(classes, num_classes).double()


def histogram(values: Classes, bins: int) -> Int64[Tensor, "b bins"]:
    """Count the values 0, 1, ... of each image."""
    b = len(values)
    first = bins * torch.arange(b, device=values.device)[:, None]
    index = (values.long().flatten(1) + first).flatten()
    return index.bincount(minlength=b * bins).view(b, bins)


def expect_like(pred: Tensor, target: Classes) -> None:
    """Raise a ``ValueError`` if the shapes differ."""
    expect(target=(target, "b height width"), pred=(pred, "b height width"))
