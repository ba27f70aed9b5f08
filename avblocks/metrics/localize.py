"""Sound localization metrics: cIoU at several thresholds, success rate and AUC."""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from avblocks.metrics.values import require_finite
from avblocks.shapes import expect, require


def ciou_median(
    maps: Float[Tensor, "b height width"], consensus: Float[Tensor, "b height width"]
) -> Float[Tensor, " b"]:
    """CIoU of maps thresholded at their median, which selects half of every image.

    A source that covers less than a quarter of the image therefore cannot reach 0.5. Published
    numbers on VGG-SS and Flickr-SoundNet use this threshold.

    Args:
        maps: predicted maps; only the order of the values within a map matters.
        consensus: ground truth, from `consensus`.

    Returns:
        One value per image, NaN without a visible source.

    Raises:
        ValueError: if the shapes differ.

    Example:
        >>> truth = torch.tensor([[[1.0, 1.0], [0.0, 0.0]]])
        >>> ciou_median(torch.tensor([[[9.0, 7.0], [3.0, 5.0]]]), truth)
        tensor([1.], dtype=torch.float64)
    """
    pixels = maps[0].numel() if len(maps) else 0
    kept = torch.full((len(maps),), pixels - pixels // 2, device=maps.device)
    return _ciou(maps, consensus, kept=kept)


def ciou_adaptive(
    maps: Float[Tensor, "b height width"], consensus: Float[Tensor, "b height width"]
) -> Float[Tensor, " b"]:
    """CIoU of maps thresholded to the number of pixels of the ground truth, for any source size.

    Args:
        maps: predicted maps; only the order of the values within a map matters.
        consensus: ground truth, from `consensus`.

    Returns:
        One value per image, NaN without a visible source.

    Raises:
        ValueError: if the shapes differ.

    Example:
        >>> truth = torch.tensor([[[0.0, 1.0], [0.0, 0.0]]])
        >>> ciou_adaptive(torch.tensor([[[2.0, 9.0], [1.0, 0.0]]]), truth)
        tensor([1.], dtype=torch.float64)
    """
    return _ciou(maps, consensus, kept=(consensus > 0).sum(dim=(1, 2)))


def ciou_fixed(
    maps: Float[Tensor, "b height width"],
    consensus: Float[Tensor, "b height width"],
    *,
    threshold: float,
) -> Float[Tensor, " b"]:
    """CIoU of the pixels above one threshold for all maps, such as `universal_threshold`.

    Args:
        maps: predicted maps on one scale for all images, such as similarities.
        consensus: ground truth, from `consensus`.
        threshold: value that a pixel must exceed.

    Returns:
        One value per image, NaN without a visible source.

    Raises:
        ValueError: if the shapes differ, a map is not finite or the threshold is NaN.

    Source: `cal_CIOU` of github.com/xavijuanola/vssl_eval.

    Example:
        >>> truth = torch.tensor([[[0.0, 1.0], [0.0, 0.0]]])
        >>> ciou_fixed(torch.tensor([[[2.0, 9.0], [1.0, 0.0]]]), truth, threshold=1.0)
        tensor([0.5000], dtype=torch.float64)
    """
    _expect(maps, consensus)
    require(threshold == threshold, "threshold", threshold, "a number")
    return _overlap(maps > threshold, consensus)


def masks_adaptive(
    maps: Float[Tensor, "b height width"], masks: Bool[Tensor, "b height width"]
) -> Bool[Tensor, "b height width"]:
    """Select as many pixels of each map as its ground truth has, including ties with the last.

    With masks as ground truth, `iou_avsbench` of the selection is the mIoU at the adaptive
    threshold of SSL-Align.

    Args:
        maps: predicted maps; only the order of the values within a map matters.
        masks: ground truth; where it is empty, nothing is selected.

    Raises:
        ValueError: if the shapes differ or a map is not finite.

    Source: `Evaluator_miou` of github.com/kaistmm/SSLalignment (``utils.py``), which selects the
    pixels above the last one, one less without ties, and for an empty ground truth a number of
    pixels that depends on the batch.

    Example:
        >>> truth = torch.tensor([[[False, True], [False, False]]])
        >>> masks_adaptive(torch.tensor([[[2.0, 9.0], [1.0, 0.0]]]), truth)
        tensor([[[False,  True],
                 [False, False]]])
    """
    _expect(maps, masks.float())
    kept = masks.sum(dim=(1, 2))
    return _highest(maps, kept=kept) & (kept > 0)[:, None, None]


def _ciou(
    maps: Float[Tensor, "b height width"],
    consensus: Float[Tensor, "b height width"],
    *,
    kept: Int64[Tensor, " b"],
) -> Float[Tensor, " b"]:
    _expect(maps, consensus)
    return _overlap(_highest(maps, kept=kept), consensus)


def _expect(maps: Tensor, consensus: Tensor) -> None:
    expect(maps=(maps, "b height width"), consensus=(consensus, "b height width"))
    require_finite(maps=maps, consensus=consensus)
    fits = bool(((consensus >= 0) & (consensus <= 1)).all())
    require(fits, "consensus", "other values", "in [0, 1]: divide a mask of bytes by 255")


def _overlap(
    chosen: Bool[Tensor, "b height width"], consensus: Float[Tensor, "b height width"]
) -> Float[Tensor, " b"]:
    """sum(P G) / (sum(G) + sum(P where G = 0)), 0 / 0 without a source."""
    truth = consensus.double()
    inside = (chosen * truth).sum(dim=(1, 2))
    outside = (chosen & (truth == 0)).sum(dim=(1, 2))
    total = truth.sum(dim=(1, 2))
    return torch.where(total > 0, inside / (total + outside), torch.nan)


def _highest(
    maps: Float[Tensor, "b height width"], *, kept: Int64[Tensor, " b"]
) -> Bool[Tensor, "b height width"]:
    """Select the given number of highest pixels of each map, including ties with the last."""
    values, kept = maps.flatten(1), kept.clamp(min=1)
    most = int(kept.max()) if len(kept) else 1
    if bool((kept == most).all()):  # a selection takes a tenth of the time of sorting
        lowest = values.kthvalue(values.shape[1] - most + 1, dim=1, keepdim=True).values
    else:
        lowest = values.topk(most, dim=1).values.gather(1, kept[:, None] - 1)
    return maps >= lowest[:, :, None]


def least_ciou(ciou: Float[Tensor, " b"], image: Int64[Tensor, " b"]) -> Float[Tensor, " images"]:
    """Lowest cIoU over the sources of each image; `ciou_success` of it is the IIoU.

    Args:
        ciou: one value per pair of an image and the audio of one of its sources.
        image: image number of each pair.

    Returns:
        One value per image, in the order of their numbers.

    Raises:
        ValueError: if the lengths differ.

    Source: IIoU of Senocak et al., "Aligning Sight and Sound" (arXiv 2407.13676).

    Example:
        >>> least_ciou(torch.tensor([0.9, 0.2, 0.6]), torch.tensor([4, 4, 7]))
        tensor([0.2000, 0.6000])
    """
    expect(ciou=(ciou, "b"), image=(image, "b"))
    numbers, place = image.unique(return_inverse=True)
    worst = ciou.new_full((len(numbers),), torch.inf)
    return worst.scatter_reduce(0, place, ciou, reduce="amin")


def ciou_success(ciou: Float[Tensor, " b"], *, threshold: float = 0.5) -> float:
    """Success rate: fraction of the images with a visible source whose cIoU reaches a threshold.

    Args:
        ciou: cIoU of each image, NaN without a visible source.
        threshold: cIoU to reach.

    Raises:
        ValueError: if no image has a visible source.

    Example:
        >>> ciou_success(torch.tensor([0.5, 0.4, torch.nan, 0.9, 0.1]))
        0.5
    """
    found = ciou[~ciou.isnan()].double()
    require(len(found) > 0, "ciou", len(found), "of at least one image with a visible source")
    return (found >= threshold).double().mean().item()


def ciou_auc(ciou: Float[Tensor, " b"]) -> float:
    """Area under `ciou_success` over the thresholds 0, 0.05, ..., 1, by the trapezoid rule.

    Args:
        ciou: cIoU of each image, NaN without a visible source.

    Raises:
        ValueError: if no image has a visible source.

    Example:
        >>> round(ciou_auc(torch.tensor([0.5, 1.0])), 4)
        0.7625
    """
    curve = torch.tensor([ciou_success(ciou, threshold=step / 20) for step in range(21)])
    return torch.trapezoid(curve.double(), dx=0.05).item()
