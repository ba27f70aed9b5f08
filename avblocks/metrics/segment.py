"""Segmentation metrics: AVSBench's, per image, with and without the background.

Each metric is computed in two steps, so that a test set can be scored in parts: first per image
(`iou_avsbench`, `class_scores`, `fscore_curves`), then averaged over all images. Masks are class
numbers, 0 for background; scores are float64.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Float64, Int64, Integer
from torch import Tensor

from avblocks.shapes import expect, require, require_positive

Classes = Bool[Tensor, "b height width"] | Integer[Tensor, "b height width"]

_FRAMES = 5  # frames per clip of AVSBench S4 and MS3
_BETA2 = 0.3  # beta² of F in AVSBench and in the reference: precision counts more than recall


def predicted_classes(
    logits: Float[Tensor, "b classes height width"],
) -> Int64[Tensor, "b height width"]:
    """Return the class of the highest logit; with one channel, 1 if the logit is above 0.

    Example:
        >>> predicted_classes(torch.tensor([[[[-1.0, 2.0]]]]))
        tensor([[[0, 1]]])
    """
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
    _expect_like(pred, target)
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
        return cls(
            iou=torch.cat([part.iou for part in parts]),
            precision=torch.cat([part.precision for part in parts]),
            recall=torch.cat([part.recall for part in parts]),
            fscore=torch.cat([part.fscore for part in parts]),
        )


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
    _expect_like(pred, target)
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
    scores = both / either.clamp(min=1), precision, recall, _fscore(precision, recall)
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


def fscore_curves(
    probability: Float[Tensor, "b height width"], target: Classes, *, thresholds: int = 255
) -> Float64[Tensor, "b thresholds"]:
    """Compute F of the foreground of each image at evenly spaced thresholds from 0 to 1.

    Args:
        probability: probability of the foreground, the sigmoid of a logit.
        target: ground truth, all classes merged.
        thresholds: number of thresholds (AVSBench: 255; reference: 256).

    Returns:
        F with beta² = 0.3, where a pixel is foreground if its probability is at least the
        threshold; NaN for an image whose target is empty.

    Raises:
        ValueError: if the shapes differ or a probability is outside [0, 1].

    Example:
        >>> probability, target = torch.tensor([[[0.2, 0.8]]]), torch.tensor([[[0, 1]]])
        >>> fscore_curves(probability, target, thresholds=3)
        tensor([[0.5652, 1.0000, 0.0000]], dtype=torch.float64)
    """
    _expect_like(probability, target)
    require_positive(thresholds=thresholds)
    wrong = probability[~((probability >= 0) & (probability <= 1))]
    require(len(wrong) == 0, "probability", wrong[:3].tolist(), "in [0, 1], the sigmoid of a logit")
    cuts = torch.linspace(0, 1, thresholds, device=probability.device).double()
    passed = torch.bucketize(probability.double(), cuts, right=True)
    truth = target > 0
    predicted = _at_least(passed, thresholds)
    both = _at_least(torch.where(truth, passed, 0), thresholds)
    size = truth.flatten(1).sum(dim=1, keepdim=True)
    curves = _fscore(both / predicted.clamp(min=1), both / size.clamp(min=1))
    return curves.masked_fill(size == 0, torch.nan)


def fscore_avsbench(
    curves: Float64[Tensor, "b thresholds"],
    *,
    batch: int = 5,
    clips: Integer[Tensor, " b"] | None = None,
) -> Float64[Tensor, ""]:
    """F of AVSBench: the maximum of the mean curve of each batch, averaged over the batches.

    The result decreases with the batch size. AVSBench uses batches of whole clips of five frames:
    one clip by the defaults of ``avs_s4/test.py``, four clips (``batch=20``) by its ``test.sh``.
    Frames with an empty target are excluded; a batch that has only such frames scores 0.

    Args:
        curves: curves from `fscore_curves`, in the order of the test set.
        batch: frames per batch; the last batch may have fewer.
        clips: clip number of each frame. If given, a batch has ``batch / 5`` clips, so clips that
            lack a frame stay in one batch.

    Raises:
        ValueError: if ``batch`` is not positive, or not a multiple of 5 with ``clips``, or there
            are no frames.

    Example:
        >>> curves = torch.tensor([[0.2, 0.8], [0.6, 0.4]]).double()
        >>> fscore_avsbench(curves, batch=1), fscore_avsbench(curves)
        (tensor(0.7000, dtype=torch.float64), tensor(0.6000, dtype=torch.float64))
        >>> fscore_avsbench(curves, clips=torch.tensor([7, 3]))
        tensor(0.7000, dtype=torch.float64)
    """
    require_positive(batch=batch)
    require(len(curves) > 0, "curves", len(curves), "at least one frame")
    if clips is None:
        parts = list(curves.split(batch))
    else:
        expect(clips=(clips, "b"), b=len(curves))
        require(batch % _FRAMES == 0, "batch", batch, f"a multiple of {_FRAMES}, frames of a clip")
        keys = list(dict.fromkeys(clips.tolist()))
        size = batch // _FRAMES
        groups = [torch.tensor(keys[n : n + size]) for n in range(0, len(keys), size)]
        parts = [curves[torch.isin(clips.cpu(), group)] for group in groups]
    best = [part.nanmean(dim=0).nan_to_num(0.0).amax() for part in parts]
    return torch.stack(best).mean()


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


def fscore_per_image(curves: Float64[Tensor, "b thresholds"]) -> Float64[Tensor, ""]:
    """F of the reference: the maximum of the curve of each image, averaged over the images.

    Args:
        curves: curves from `fscore_curves`; the reference uses 256 thresholds.

    Returns:
        The mean over the images whose target is not empty; NaN if there are none.

    Example:
        >>> fscore_per_image(torch.tensor([[0.2, 0.8], [0.6, 0.4]]).double())
        tensor(0.7000, dtype=torch.float64)
    """
    return curves.amax(dim=1).nanmean()


def _fscore(
    precision: Float64[Tensor, "b _"], recall: Float64[Tensor, "b _"]
) -> Float64[Tensor, "b _"]:
    product = (1 + _BETA2) * precision * recall
    return torch.where(product > 0, product / (_BETA2 * precision + recall), 0.0)


def _pixels(classes: Classes, num_classes: int, *, name: str) -> Float64[Tensor, "b classes"]:
    """Count the pixels of each class in each image."""
    wrong = classes[(classes < 0) | (classes >= num_classes)]
    require(len(wrong) == 0, name, wrong[:3].tolist(), f"class numbers in [0, {num_classes})")
    return _histogram(classes, num_classes).double()


def _at_least(passed: Int64[Tensor, "b height width"], most: int) -> Float64[Tensor, "b most"]:
    """Count the pixels of each image that pass at least 1, 2, ... thresholds."""
    count = _histogram(passed, most + 1)[:, 1:]
    return count.flip(1).cumsum(dim=1).flip(1).double()


def _histogram(values: Classes, bins: int) -> Int64[Tensor, "b bins"]:
    b = len(values)
    first = bins * torch.arange(b, device=values.device)[:, None]
    index = (values.long().flatten(1) + first).flatten()
    return index.bincount(minlength=b * bins).view(b, bins)


def _expect_like(pred: Tensor, target: Classes) -> None:
    expect(target=(target, "b height width"), pred=(pred, "b height width"))
