"""Sound localization with negatives: images without a visible source."""

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from avblocks.metrics.values import last_of_equal, require_finite, require_numbers
from avblocks.shapes import expect, require, require_choice

Misplaced = Literal["wrong", "wrong and missed"]


def map_confidence(maps: Float[Tensor, "b height width"]) -> Float[Tensor, " b"]:
    """Confidence of each map: the mean of its highest quarter of pixels.

    Args:
        maps: maps on one scale for all images, such as similarities; not normalized per image.

    Raises:
        ValueError: if a value is not finite.

    Source: SLAVC (Mo and Morgado, NeurIPS 2022, arXiv 2209.09634).

    Example:
        >>> map_confidence(torch.tensor([[[1.0, 2.0], [3.0, 8.0]]]))
        tensor([8.])
    """
    require_finite(maps=maps)
    values = maps.flatten(1)
    return values.topk(-(-values.shape[1] // 4), dim=1).values.mean(dim=1)


@dataclass(frozen=True)
class DetectionCurve:
    """Precision and recall at each confidence threshold, from the highest down."""

    precision: Float[Tensor, " thresholds"]
    recall: Float[Tensor, " thresholds"]

    def average_precision(self) -> float:
        """Area under the interpolated curve: the best precision at each recall or above."""
        best = self.precision.flip(0).cummax(dim=0).values.flip(0)
        steps = self.recall.diff(prepend=self.recall.new_zeros(1))
        return (best * steps).sum().item()

    def max_f1(self) -> float:
        """The greatest harmonic mean of precision and recall."""
        total = self.precision + self.recall
        return (2 * self.precision * self.recall / total.clamp(min=1e-12)).max().item()


def detection_curve(
    ciou: Float[Tensor, " b"],
    confidence: Float[Tensor, " b"],
    *,
    misplaced: Misplaced = "wrong",
    threshold: float = 0.5,
) -> DetectionCurve:
    """Compute precision and recall of localized sources over all confidence thresholds.

    An image at or above the confidence threshold is a true positive if its cIoU reaches
    ``threshold``, and a false positive otherwise or without a visible source. A visible source
    below the confidence threshold is a false negative.

    Args:
        ciou: cIoU of each image, NaN without a visible source.
        confidence: confidence of each image.
        misplaced: how to count a visible source localized in the wrong place. In SLAVC it is a
            false positive and excluded from the recall (``"wrong"``); ``"wrong and missed"`` also
            counts it as a false negative, as in object detection.
        threshold: cIoU to reach.

    Raises:
        ValueError: if the lengths differ, no source is visible, a confidence is NaN or
            ``misplaced`` is unknown.

    Source: SLAVC (Mo and Morgado, NeurIPS 2022, arXiv 2209.09634), whose code uses about 200
    thresholds instead of all.

    Example:
        >>> ciou = torch.tensor([0.9, torch.nan, 0.8, 0.1])
        >>> curve = detection_curve(ciou, torch.tensor([0.9, 0.8, 0.7, 0.6]))
        >>> curve.precision, curve.recall
        (tensor([1.0000, 0.5000, 0.6667, 0.5000]), tensor([0.3333, 0.3333, 0.6667, 1.0000]))
        >>> round(curve.average_precision(), 4), round(curve.max_f1(), 4)
        (0.7222, 0.6667)
    """
    expect(ciou=(ciou, "b"), confidence=(confidence, "b"))
    require_choice(*get_args(Misplaced), misplaced=misplaced)
    require_numbers(confidence=confidence)
    visible, right = ~ciou.isnan(), ciou >= threshold
    require(bool(visible.any()), "ciou", "NaN", "of at least one image with a visible source")
    order = confidence.argsort(descending=True, stable=True)
    ends = last_of_equal(confidence[order])  # images of equal confidence pass together
    found = right[order].cumsum(0)[ends]
    looked = torch.ones_like(order).cumsum(0)[ends]
    judged = right if misplaced == "wrong and missed" else visible
    missed = visible.sum() - judged[order].cumsum(0)[ends]
    return DetectionCurve(precision=found / looked, recall=found / (found + missed).clamp(min=1))
