"""What localization is measured against: consensus of annotators, and maps of two cheats."""

from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from avblocks.shapes import require, sides

Rule = Literal["flickr", "vggss"]
_SLACK = 1e-3  # pixels, by which a share times a side may miss a whole number


def consensus(
    boxes: Float[Tensor, "boxes 4"], *, size: int | tuple[int, int], rule: Rule
) -> Float[Tensor, "height width"]:
    """Where the annotators of an image say the sound comes from.

    Edges are cut to whole pixels towards the left and the top, as the field's evaluations do.

    Args:
        boxes: left, top, right, bottom, in shares of the sides, of all annotators.
        size: side, or (height, width), of the map in pixels (the field: 224).
        rule: ``"flickr"``: the sum of the boxes over 2, at most 1, so that two agree fully.
            ``"vggss"``: their union.

    Returns:
        Values in [0, 1]; zeros without any box.

    Raises:
        ValueError: if the rule is unknown.

    Source: Chen et al., "Localizing visual sounds the hard way" (CVPR 2021).

    Example:
        >>> boxes = torch.tensor([[0.0, 0.0, 0.5, 1.0], [0.0, 0.0, 1.0, 0.5]])
        >>> consensus(boxes, size=2, rule="flickr")
        tensor([[1.0000, 0.5000],
                [0.5000, 0.0000]])
    """
    require(rule in get_args(Rule), "rule", rule, f"one of {get_args(Rule)}")
    height, width = sides(size, axes=2, name="size")
    scale = torch.tensor((width, height, width, height))
    edges = (boxes.double().cpu() * scale + _SLACK).floor().long()
    drawn = torch.zeros(height, width)
    for left, top, right, bottom in edges.clamp(min=0).tolist():
        drawn[top:bottom, left:right] += 1
    return ((drawn / 2 if rule == "flickr" else drawn).clamp(max=1)).to(boxes.device)


def center_box(*, size: int | tuple[int, int]) -> Float[Tensor, "height width"]:
    """The map of a cheat that looks at the middle: any cut of it is a box there.

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
    """The map of a cheat that points everywhere: no cut of it leaves anything out.

    Args:
        size: side, or (height, width), of the map in pixels.

    Example:
        >>> whole_image(size=(2, 3)).sum()
        tensor(6.)
    """
    return torch.ones(sides(size, axes=2, name="size"))
