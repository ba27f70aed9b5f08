"""Sound localization with negatives: images without a visible source."""

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from avblocks.shapes import expect, require

Misplaced = Literal["wrong", "wrong and missed"]


def map_confidence(maps: Float[Tensor, "b height width"]) -> Float[Tensor, " b"]:
    """Mean of the top quarter of each map.

    Args:
        maps: on one scale for all images, such as similarities; not normalized one by one.

    Source: SLAVC (Mo and Morgado, NeurIPS 2022, arXiv 2209.09634).

    Example:
        >>> map_confidence(torch.tensor([[[1.0, 2.0], [3.0, 8.0]]]))
        tensor([8.])
    """
    values = maps.flatten(1)
    return values.topk(-(-values.shape[1] // 4), dim=1).values.mean(dim=1)


@dataclass(frozen=True)
class DetectionCurve:
    """Precision and recall at each confidence, from the highest down."""

    precision: Float[Tensor, " thresholds"]
    recall: Float[Tensor, " thresholds"]

    def average_precision(self) -> float:
        """Area under the curve of the best precision at each recall or a higher one."""
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
    """Precision and recall of localized sources, over all thresholds on the confidence.

    An image at or above the threshold is right if its cIoU reaches 0.5, wrong if not, and wrong if
    there is no visible source; a visible source below the threshold is missed.

    Args:
        ciou: of each image, NaN where there is no visible source, as the metrics return it.
        confidence: of each image.
        misplaced: how a visible source counts that is localized in the wrong place. In SLAVC it is
            wrong and drops out of the recall; ``"wrong and missed"`` is recall as in object
            detection, the share of all visible sources that are found.
        threshold: cIoU to be reached.

    Raises:
        ValueError: if the lengths differ, no source is visible or ``misplaced`` is unknown.

    Source: SLAVC (Mo and Morgado, NeurIPS 2022, arXiv 2209.09634), whose code takes about
    200 thresholds where this takes all.

    Example:
        >>> ciou = torch.tensor([0.9, torch.nan, 0.8, 0.1])
        >>> curve = detection_curve(ciou, torch.tensor([0.9, 0.8, 0.7, 0.6]))
        >>> curve.precision, curve.recall
        (tensor([1.0000, 0.5000, 0.6667, 0.5000]), tensor([0.3333, 0.3333, 0.6667, 1.0000]))
        >>> round(curve.average_precision(), 4), round(curve.max_f1(), 4)
        (0.7222, 0.6667)
    """
    expect(ciou=(ciou, "b"), confidence=(confidence, "b"))
    require(misplaced in get_args(Misplaced), "misplaced", misplaced, f"in {get_args(Misplaced)}")
    visible, right = ~ciou.isnan(), ciou >= threshold
    require(bool(visible.any()), "ciou", "NaN", "of at least one image with a visible source")
    order = confidence.argsort(descending=True, stable=True)
    # Where a confidence ends: images that share one are taken together.
    ends = confidence[order].diff(append=confidence.new_full((1,), torch.nan)) != 0
    found = right[order].cumsum(0)[ends]
    looked = torch.ones_like(order).cumsum(0)[ends]
    judged = right if misplaced == "wrong and missed" else visible
    missed = visible.sum() - judged[order].cumsum(0)[ends]
    return DetectionCurve(precision=found / looked, recall=found / (found + missed).clamp(min=1))
