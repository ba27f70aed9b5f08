"""Sound localization of several sources in an image, and by the size of the source."""

from itertools import permutations

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from avblocks.metrics.localize import ciou_success
from avblocks.metrics.values import last_of_equal, require_binary, require_finite
from avblocks.shapes import expect, require

SIZES = {"small": 0, "medium": 32**2, "large": 96**2, "huge": 144**2}
"""Least number of pixels of a source in each size, in an image of 224 x 224 pixels."""
_PIXELS = 224**2
_MOST = 8  # sources, whose 40,320 orders are tried


def source_precision(
    maps: Float[Tensor, "b maps height width"], masks: Float[Tensor, "b sources height width"]
) -> Float64[Tensor, "b maps sources"]:
    """Pixel-wise average precision of each map of an image with each of its masks.

    It is not interpolated, and equal values pass a threshold together, as in `average_precision`.

    Args:
        maps: one map per predicted source.
        masks: 1 in the pixels of a source, else 0; zeros for a source that the image lacks.

    Returns:
        Values in [0, 1], NaN for empty masks.

    Raises:
        ValueError: if shapes differ, a map is not finite or a mask holds other values.

    Example:
        >>> mask = torch.tensor([[[[1.0, 0.0], [0.0, 0.0]]]])
        >>> source_precision(torch.tensor([[[[2.0, 9.0], [1.0, 0.0]]]]), mask)
        tensor([[[0.5000]]], dtype=torch.float64)
    """
    expect(maps=(maps, "b maps height width"), masks=(masks, "b sources height width"))
    require_finite(maps=maps)
    require_binary(masks=masks)
    ordered, pixel = maps.flatten(2).sort(dim=2, descending=True)
    count = torch.arange(1, ordered.shape[2] + 1, device=maps.device)
    last = last_of_equal(ordered)  # equal values pass together
    values = [_precision(mask.flatten(1), pixel, last, count) for mask in masks.unbind(1)]
    return torch.stack(values, dim=2)


def _precision(mask: Tensor, pixel: Tensor, last: Tensor, count: Tensor) -> Tensor:
    hits = mask[:, None].expand(pixel.shape).gather(2, pixel).double().cumsum(2)
    # Of pixels that pass together, all steps count at the last one.
    before = torch.where(last, hits, 0.0).cummax(2).values.roll(1, dims=2)
    before[..., 0] = 0
    steps = torch.where(last, hits - before, 0.0)
    return (steps * hits / count).sum(2) / hits[..., -1]


def class_aware(values: Float[Tensor, "b maps sources"]) -> Float[Tensor, " b"]:
    """Mean over the sources of an image, if map k belongs to source k.

    With values of `source_precision`, it is the class-aware average precision (CAP): each map was
    predicted for the class of its source.

    Args:
        values: score of each map with each source, NaN for sources that the image lacks.

    Returns:
        One value per image, NaN without a source.

    Raises:
        ValueError: if the numbers of maps and sources differ.

    Source: Hu et al., "Mix and Localize" (CVPR 2022). Their repository,
    github.com/hxixixh/mix-and-localize, contains no evaluation; the definition is inferred from the
    name, and so is `permutation_invariant`.

    Example:
        >>> values = torch.tensor([[[0.1, 0.9], [0.7, 0.2]]])
        >>> class_aware(values), permutation_invariant(values)
        (tensor([0.1500]), tensor([0.8000]))
    """
    _expect_square(values)
    return values.diagonal(dim1=1, dim2=2).nanmean(dim=1)


def permutation_invariant(values: Float[Tensor, "b maps sources"]) -> Float[Tensor, " b"]:
    """Mean over the sources of an image, if maps are assigned to sources in the best order.

    With values of `source_precision`, it is the permutation-invariant average precision (PIAP), for
    models that separate sources without naming them.

    Args:
        values: score of each map with each source, NaN for sources that the image lacks.

    Returns:
        One value per image, NaN without a source.

    Raises:
        ValueError: if the numbers of maps and sources differ, or there are more than eight.
    """
    _expect_square(values)
    sources = values.shape[2]
    require(sources <= _MOST, "values", sources, f"of at most {_MOST} sources")
    columns = range(sources)
    means = [values[:, order, columns].nanmean(dim=1) for order in permutations(columns)]
    return torch.stack(means).amax(dim=0)


def success_by_size(
    ciou: Float[Tensor, " b"],
    consensus: Float[Tensor, "b height width"],
    *,
    threshold: float = 0.5,
) -> dict[str, float]:
    """`ciou_success` of small, medium, large and huge sources.

    The size is the sum of the consensus map, scaled to an image of 224 x 224 pixels.

    Args:
        ciou: cIoU of each image, NaN without a visible source.
        consensus: ground truth, from `consensus`.
        threshold: cIoU to reach.

    Returns:
        A value for each name in `SIZES`, NaN for sizes that no image has.

    Raises:
        ValueError: if the lengths differ.

    Source: `EvaluatorFull` of github.com/stoneMo/AVGN and github.com/kaistmm/SSLalignment
    (``utils.py``): ``area = gt.sum()``, at 32**2, 96**2 and 144**2 pixels.

    Example:
        >>> truth = torch.zeros(2, 224, 224)
        >>> truth[0, :20, :20], truth[1, :, :] = 1.0, 1.0
        >>> success_by_size(torch.tensor([0.2, 0.9]), truth)
        {'small': 0.0, 'medium': nan, 'large': nan, 'huge': 1.0}
    """
    expect(ciou=(ciou, "b"), consensus=(consensus, "b height width"))
    height, width = consensus.shape[1:]
    area = consensus.double().sum(dim=(1, 2)) * _PIXELS / (height * width)
    bounds = torch.tensor([*SIZES.values()][1:], device=area.device)
    bucket = torch.bucketize(area, bounds, right=True)
    return {
        name: _success(ciou[bucket == index], threshold=threshold)
        for index, name in enumerate(SIZES)
    }


def _success(ciou: Float[Tensor, " b"], *, threshold: float) -> float:
    return torch.nan if ciou.isnan().all() else ciou_success(ciou, threshold=threshold)


def _expect_square(values: Float[Tensor, "b maps sources"]) -> None:
    expect(values=(values, "b maps sources"))
    maps, sources = values.shape[1:]
    require(maps == sources, "values", tuple(values.shape), "of as many maps as sources")
