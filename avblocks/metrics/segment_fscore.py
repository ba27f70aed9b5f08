"""F of segmentation masks over thresholds: AVSBench's, and the reference's."""

import torch
from jaxtyping import Float, Float64, Int64, Integer
from torch import Tensor

from avblocks.metrics.segment import Classes, expect_like, fscore, histogram
from avblocks.shapes import expect, require, require_positive

_FRAMES = 5  # frames per clip of AVSBench S4 and MS3


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
    expect_like(probability, target)
    require_positive(thresholds=thresholds)
    wrong = probability[~((probability >= 0) & (probability <= 1))]
    require(len(wrong) == 0, "probability", wrong[:3].tolist(), "in [0, 1], the sigmoid of a logit")
    cuts = torch.linspace(0, 1, thresholds, device=probability.device).double()
    passed = torch.bucketize(probability.double(), cuts, right=True)
    truth = target > 0
    predicted = _at_least(passed, thresholds)
    both = _at_least(torch.where(truth, passed, 0), thresholds)
    size = truth.flatten(1).sum(dim=1, keepdim=True)
    curves = fscore(both / predicted.clamp(min=1), both / size.clamp(min=1))
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


def _at_least(passed: Int64[Tensor, "b height width"], most: int) -> Float64[Tensor, "b most"]:
    """Count the pixels of each image that pass at least 1, 2, ... thresholds."""
    count = histogram(passed, most + 1)[:, 1:]
    return count.flip(1).cumsum(dim=1).flip(1).double()
