"""Ground truth maps of sound localization from boxes of annotators, and two trivial baselines."""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from avblocks.metrics.values import require_finite
from avblocks.shapes import require, require_choice, sides

Rule = Literal["flickr", "vggss"]
_SLACK = 1e-3  # pixels, tolerance for the rounding of relative coordinates
_FARTHEST = 2.0  # some annotated boxes exceed their image, those in pixels much more


def consensus(
    boxes: Float[Tensor, "boxes 4"], *, size: int | tuple[int, int], rule: Rule
) -> Float[Tensor, "height width"]:
    """Build the consensus map of the annotators of an image.

    Edges are rounded down to whole pixels, as in the published evaluations.

    Args:
        boxes: left, top, right and bottom, relative to the sides, of all annotators.
        size: side, or (height, width), of the map in pixels (published evaluations: 224).
        rule: ``"flickr"``: half the sum of the boxes, at most 1, so that two annotators suffice.
            ``"vggss"``: the union of the boxes.

    Returns:
        Values in [0, 1]; zeros without any box.

    Raises:
        ValueError: if the rule is unknown, or a box is not finite, of edges in another order, or in
            pixels.

    Source: Chen et al., "Localizing visual sounds the hard way" (CVPR 2021).

    Example:
        >>> boxes = torch.tensor([[0.0, 0.0, 0.5, 1.0], [0.0, 0.0, 1.0, 0.5]])
        >>> consensus(boxes, size=2, rule="flickr")
        tensor([[1.0000, 0.5000],
                [0.5000, 0.0000]])
    """
    require_choice(*get_args(Rule), rule=rule)
    require_finite(boxes=boxes)
    wrong = boxes[(boxes[:, 2:] < boxes[:, :2]).any(dim=1) | (boxes.abs() > _FARTHEST).any(dim=1)]
    takes = "left, top, right and bottom relative to the sides of the image"
    require(not len(wrong), "boxes", wrong[:1].tolist(), takes)
    height, width = sides(size, axes=2, name="size")
    scale = torch.tensor((width, height, width, height))
    edges = (boxes.double().cpu() * scale + _SLACK).floor().long()
    counts = torch.zeros(height, width)
    for left, top, right, bottom in edges.clamp(min=0).tolist():
        counts[top:bottom, left:right] += 1
    return ((counts / 2 if rule == "flickr" else counts).clamp(max=1)).to(boxes.device)


def consensus_maps(
    boxes: Sequence[Float[Tensor, "_ 4"] | None], *, size: int | tuple[int, int], rule: Rule
) -> Float[Tensor, "b height width"]:
    """Build the consensus maps of a batch, see `consensus`; zeros for images without annotation."""
    require(len(boxes) > 0, "boxes", 0, "of at least one image; the clips have none")
    each = (torch.zeros(0, 4) if some is None else some for some in boxes)
    return torch.stack([consensus(some, size=size, rule=rule) for some in each])


def center_box(*, size: int | tuple[int, int]) -> Float[Tensor, "height width"]:
    """Baseline map that is highest at the center: a centered box at any threshold.

    Args:
        size: side, or (height, width), of the map in pixels.

    Example:
        >>> (center_box(size=4) >= 0.5).int()
        tensor([[0, 0, 0, 0],
                [0, 1, 1, 0],
                [0, 1, 1, 0],
                [0, 0, 0, 0]], dtype=torch.int32)
    """
    down, right = (
        1 - (2 * torch.arange(side) + 1 - side).abs() / side
        for side in sides(size, axes=2, name="size")
    )
    return torch.minimum(down[:, None], right)


def whole_image(*, size: int | tuple[int, int]) -> Float[Tensor, "height width"]:
    """Constant baseline map: the whole image at any threshold.

    Args:
        size: side, or (height, width), of the map in pixels.

    Example:
        >>> whole_image(size=(2, 3)).sum()
        tensor(6.)
    """
    return torch.ones(sides(size, axes=2, name="size"))
