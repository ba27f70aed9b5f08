"""Crops: drawn in the data loader workers, applied in batches on the device.

Images of different sizes cannot form a batch. A worker therefore draws a crop box and only
downscales large images, to twice the target size. ``collate`` pads images to one size, and the
device crops and resizes the whole batch with two matrix products. Without the downscaling the
result equals torchvision's ``resized_crop``; on 720p frames, which are downscaled first, the PSNR
between the two is 55 dB.
"""

import math
from functools import partial

import torch
from jaxtyping import Float, Shaped, UInt8
from torch import Tensor

from avblocks.data.resize import resize, resize_mask, resize_short
from avblocks.shapes import expect

_ASPECT = (3 / 4, 4 / 3)
_TRIES = 10
_LONGEST = 3  # times the short side; longer images are cut to their center first

Image = UInt8[Tensor, "c height width"]
"""An image, or the stacked channels of several images of one size."""
Box = Float[Tensor, "4"]


def random_part(
    image: Image, *, size: int, scale: tuple[float, float] = (0.5, 1.0), generator: torch.Generator
) -> tuple[UInt8[Tensor, "c h w"], Box]:
    """Draw a random crop box, as torchvision's ``RandomResizedCrop`` does.

    Args:
        image: The image.
        size: Target side of the crop, pixels.
        scale: Smallest and largest fraction of the area.
        generator: Random source of position, area and aspect ratio (3/4 to 4/3).

    Returns:
        The image, downscaled if its short side is over twice ``size``, and the left, top, right and
        bottom of the crop in it, in pixels. If ten draws do not fit, the crop is the largest
        centered one of an allowed aspect ratio.
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
    """Draw left, top, right and bottom of a crop."""
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
    """Resize an image and return the box of a center crop, for evaluation.

    Returns:
        The image with a short side of ``size / ratio``, and the left, top, right and bottom of the
        center crop of ``size`` pixels a side.
    """
    small = resize_short(_trimmed(image), side=round(size / ratio))
    top, left = (round((side - size) / 2) for side in small.shape[1:])
    return small, torch.tensor([left, top, left + size, top + size], dtype=torch.float32)


def whole_square(image: Image, *, size: int) -> tuple[UInt8[Tensor, "c {size} {size}"], Box]:
    """Resize a whole image to a square, for evaluation with boxes or masks.

    Returns:
        The square image of ``size`` pixels a side, and its left, top, right and bottom.
    """
    sides = torch.tensor([0, 0, size, size], dtype=torch.float32)
    return resize(image, size=(size, size)), sides


def mask_like(
    mask: UInt8[Tensor, "height width"], *, image: UInt8[Tensor, "c h w"], whole: bool
) -> UInt8[Tensor, "h w"]:
    """Resize a mask like its image, with nearest-neighbor interpolation.

    Args:
        mask: Mask of the original image.
        image: The image returned by `random_part`, `middle_part` or `whole_square`.
        whole: Whether `whole_square` returned it; the others cut off the ends of very long images.
    """
    before = mask if whole else _trimmed(mask[None])[0]
    return resize_mask(before, size=(image.shape[1], image.shape[2]))


def _trimmed(image: UInt8[Tensor, "c height width"]) -> UInt8[Tensor, "c h w"]:
    """Cut a very long image to its center, so that it does not enlarge the whole batch."""
    most = _LONGEST * min(image.shape[1:])
    height, width = (min(side, most) for side in image.shape[1:])
    top, left = (image.shape[1] - height) // 2, (image.shape[2] - width) // 2
    return image[:, top : top + height, left : left + width]


def crop_images(
    image: Shaped[Tensor, "b c height width"], box: Float[Tensor, "b 4"], *, size: int
) -> Float[Tensor, "b c {size} {size}"]:
    """Crop each image or mask of a batch and resize it to a square, with antialiasing.

    The filter is separable, the triangle filter of torchvision's resize. A crop that already has
    the target size is copied exactly.

    Args:
        image: The images.
        box: Left, top, right and bottom of each crop, pixels.
        size: Side of the result, pixels.

    Raises:
        ValueError: If there is not one box per image.

    >>> image = torch.arange(16).view(1, 1, 4, 4)
    >>> crop_images(image, torch.tensor([[1.0, 2.0, 3.0, 4.0]]), size=2)
    tensor([[[[ 9., 10.],
              [13., 14.]]]])
    """
    expect(image=(image, "b c height width"), box=(box, "b sides"), sides=4)
    left, top, right, bottom = box.float().unbind(1)
    rows = _weights(top, bottom, size=size, length=image.shape[2])
    columns = _weights(left, right, size=size, length=image.shape[3])
    narrow = image.float().flatten(1, 2) @ columns.mT
    return rows[:, None] @ narrow.unflatten(1, image.shape[1:3])


def crop_masks(
    mask: UInt8[Tensor, "b height width"], box: Float[Tensor, "b 4"], *, size: int
) -> UInt8[Tensor, "b {size} {size}"]:
    """Crop and resize masks as ``crop_images`` does, with nearest-neighbor interpolation.

    Raises:
        ValueError: If there is not one box per mask.

    >>> mask = torch.arange(16, dtype=torch.uint8).view(1, 4, 4)
    >>> crop_masks(mask, torch.tensor([[0.0, 0.0, 4.0, 4.0]]), size=2)
    tensor([[[ 5,  7],
             [13, 15]]], dtype=torch.uint8)
    """
    expect(mask=(mask, "b height width"), box=(box, "b sides"), sides=4)
    centers = (torch.arange(size, device=box.device) + 0.5) / size
    left, top, right, bottom = box[:, :, None].unbind(1)
    rows = (top + (bottom - top) * centers).long().clamp(0, mask.shape[1] - 1)
    columns = (left + (right - left) * centers).long().clamp(0, mask.shape[2] - 1)
    batch = torch.arange(len(mask), device=box.device)[:, None, None]
    return mask[batch, rows[:, :, None], columns[:, None, :]]


def _weights(
    low: Float[Tensor, " b"], high: Float[Tensor, " b"], *, size: int, length: int
) -> Float[Tensor, "b {size} {length}"]:
    """Return the weights that resize pixels ``low`` to ``high`` of ``length`` to ``size``."""
    steps = partial(torch.arange, device=low.device, dtype=low.dtype)
    low, step = low[:, None, None], ((high - low) / size)[:, None, None]
    centers, pixels = low + (steps(size)[:, None] + 0.5) * step, steps(length) + 0.5
    weights = (1 - (pixels - centers).abs() / step.clamp(min=1)).clamp(min=0)
    weights = weights * ((low < pixels) & (pixels < high[:, None, None]))
    return weights / weights.sum(-1, keepdim=True).clamp(min=1e-6)  # black outside of the image
