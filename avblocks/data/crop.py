"""Crops: said in the workers, and carried out in batches on the device.

A picture cannot be resized to what is wanted before its random part is known, and pictures of many
sizes are no batch. So a worker only makes large pictures smaller, to twice what is wanted, and says
where the part is; ``collate`` fills them up to one size, and the device cuts and resizes the parts
of a batch in two matrix products. With no smaller picture between, that is torchvision's
``resized_crop``; on frames of 720p, made smaller once before, it differs from that by 55 dB.
"""

import math
from functools import partial

import torch
from jaxtyping import Float, Shaped, UInt8
from torch import Tensor

from avblocks.data.resize import resize, resize_mask, resize_short

_ASPECT = (3 / 4, 4 / 3)
_TRIES = 10
_LONGEST = 3  # times the short side; all crops of longer pictures lie within the middle of them

Image = UInt8[Tensor, "c height width"]
"""A picture, or the channels of several of one size."""
Box = Float[Tensor, "4"]


def random_part(
    image: Image, *, size: int, scale: tuple[float, float] = (0.5, 1.0), generator: torch.Generator
) -> tuple[UInt8[Tensor, "c h w"], Box]:
    """Draw a random part of a picture, as torchvision's ``RandomResizedCrop`` does.

    Args:
        image: The picture.
        size: Side of the square that the part is to become, pixels.
        scale: Smallest and largest share of the area.
        generator: Source of place, share and aspect ratio (3/4 to 4/3).

    Returns:
        The picture, its short side at most twice ``size``, and left, top, right, bottom of the part
        in it, in pixels; the largest centred part of allowed aspect ratio if ten draws do not fit.
    """
    image = _trimmed(image)
    box = _draw_box(image, scale=scale, generator=generator)
    large = min(image.shape[1:]) > 2 * size
    small = resize_short(image, side=2 * size) if large else image
    down, across = (new / old for new, old in zip(small.shape[1:], image.shape[1:], strict=True))
    return small, torch.tensor(box) * torch.tensor([across, down, across, down])


def _draw_box(
    image: Image, *, scale: tuple[float, float], generator: torch.Generator
) -> tuple[float, float, float, float]:
    """Draw left, top, right and bottom."""
    height, width = image.shape[-2:]
    low, high = math.log(_ASPECT[0]), math.log(_ASPECT[1])
    for _ in range(_TRIES):
        share, aspect, down, right = torch.rand(4, generator=generator).tolist()
        area = height * width * (scale[0] + share * (scale[1] - scale[0]))
        ratio = math.exp(low + aspect * (high - low))
        w, h = round((area * ratio) ** 0.5), round((area / ratio) ** 0.5)
        if 0 < w <= width and 0 < h <= height:
            top, left = int(down * (height - h + 1)), int(right * (width - w + 1))
            return left, top, left + w, top + h
    w = min(width, round(height * _ASPECT[1]))
    h = min(height, round(width / _ASPECT[0]))
    top, left = (height - h) // 2, (width - w) // 2
    return left, top, left + w, top + h


def middle_part(
    image: Image, *, size: int, ratio: float = 0.875
) -> tuple[UInt8[Tensor, "c h w"], Box]:
    """Resize an image for evaluation, and say where its middle, ``size`` pixels a side, is.

    Returns:
        The image, its short side ``size / ratio``, and left, top, right, bottom of the middle.
    """
    small = resize_short(_trimmed(image), side=round(size / ratio))
    top, left = (round((side - size) / 2) for side in small.shape[1:])
    return small, torch.tensor([left, top, left + size, top + size], dtype=torch.float32)


def whole_picture(image: Image, *, size: int) -> tuple[UInt8[Tensor, "c {size} {size}"], Box]:
    """Squeeze a whole image into a square, for evaluation with boxes or masks.

    Returns:
        The square of ``size`` pixels a side, and its left, top, right, bottom.
    """
    sides = torch.tensor([0, 0, size, size], dtype=torch.float32)
    return resize(image, size=(size, size)), sides


def mask_like(
    mask: UInt8[Tensor, "height width"], *, image: UInt8[Tensor, "c h w"], whole: bool
) -> UInt8[Tensor, "h w"]:
    """Resize a mask to what became of its image, each pixel taking the nearest class.

    Args:
        mask: Of the image as it was.
        image: What a function above made of the image.
        whole: Whether that was ``whole_picture``; the others leave out the ends of very long ones.
    """
    before = mask if whole else _trimmed(mask[None])[0]
    return resize_mask(before, size=(image.shape[1], image.shape[2]))


def _trimmed(image: UInt8[Tensor, "c height width"]) -> UInt8[Tensor, "c h w"]:
    """Cut the middle out of a very long picture, so that one does not blow up a whole batch."""
    most = _LONGEST * min(image.shape[1:])
    height, width = (min(side, most) for side in image.shape[1:])
    top, left = (image.shape[1] - height) // 2, (image.shape[2] - width) // 2
    return image[:, top : top + height, left : left + width]


def crop_images(
    image: Shaped[Tensor, "b c height width"], box: Float[Tensor, "b 4"], *, size: int
) -> Float[Tensor, "b c {size} {size}"]:
    """Cut a part out of each image or mask and resize it to a square, with antialiasing.

    Rows and columns are weighted apart, by the triangle filter of torchvision's resize; a part that
    already has the size is copied exactly.

    Boxes are left, top, right, bottom of each part; they and ``size`` are in pixels.

    >>> image = torch.arange(16).view(1, 1, 4, 4)
    >>> crop_images(image, torch.tensor([[1.0, 2.0, 3.0, 4.0]]), size=2)
    tensor([[[[ 9., 10.],
              [13., 14.]]]])
    """
    left, top, right, bottom = box.unbind(1)
    rows = _weights(top, bottom, size=size, length=image.shape[2])
    columns = _weights(left, right, size=size, length=image.shape[3])
    narrow = image.float().flatten(1, 2) @ columns.mT
    return rows[:, None] @ narrow.unflatten(1, image.shape[1:3])


def crop_masks(
    mask: UInt8[Tensor, "b height width"], box: Float[Tensor, "b 4"], *, size: int
) -> UInt8[Tensor, "b {size} {size}"]:
    """Cut the same parts out of masks, each pixel being that in its middle; see ``crop_images``.

    >>> mask = torch.arange(16, dtype=torch.uint8).view(1, 4, 4)
    >>> crop_masks(mask, torch.tensor([[0.0, 0.0, 4.0, 4.0]]), size=2)
    tensor([[[ 5,  7],
             [13, 15]]], dtype=torch.uint8)
    """
    middles = (torch.arange(size, device=box.device) + 0.5) / size
    left, top, right, bottom = box[:, :, None].unbind(1)
    rows = (top + (bottom - top) * middles).long().clamp(0, mask.shape[1] - 1)
    columns = (left + (right - left) * middles).long().clamp(0, mask.shape[2] - 1)
    batch = torch.arange(len(mask), device=box.device)[:, None, None]
    return mask[batch, rows[:, :, None], columns[:, None, :]]


def _weights(
    low: Float[Tensor, " b"], high: Float[Tensor, " b"], *, size: int, length: int
) -> Float[Tensor, "b {size} {length}"]:
    """Weigh the pixels from ``low`` to ``high`` of a line of ``length`` for each of ``size``."""
    steps = partial(torch.arange, device=low.device, dtype=low.dtype)
    low, step = low[:, None, None], ((high - low) / size)[:, None, None]
    centres, pixels = low + (steps(size)[:, None] + 0.5) * step, steps(length) + 0.5
    weights = (1 - (pixels - centres).abs() / step.clamp(min=1)).clamp(min=0)
    weights = weights * ((low < pixels) & (pixels < high[:, None, None]))
    return weights / weights.sum(-1, keepdim=True)
