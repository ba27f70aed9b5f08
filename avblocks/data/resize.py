"""Resize images and masks with torch alone: torchvision takes 2 s to import."""

import torch
import torch.nn.functional as F
from jaxtyping import UInt8
from torch import Tensor


def resize(
    image: UInt8[Tensor, "c height width"], *, size: tuple[int, int]
) -> UInt8[Tensor, "c {size[0]} {size[1]}"]:
    """Resize an image to a height and width, bilinearly with antialiasing, as torchvision does.

    >>> resize(torch.zeros(3, 9, 12, dtype=torch.uint8), size=(3, 4)).shape
    torch.Size([3, 3, 4])
    """
    if tuple(image.shape[1:]) == tuple(size):
        return image
    batch = image[None]
    if batch.is_contiguous(memory_format=torch.channels_last):
        # Decoded images are channels-last; with the stride of a single sample, torch would copy.
        batch = image.as_strided(batch.shape, (image.numel(), *image.stride()))
    return F.interpolate(batch, size, mode="bilinear", antialias=True)[0]


def resize_short(image: UInt8[Tensor, "c height width"], *, side: int) -> UInt8[Tensor, "c h w"]:
    """Resize an image so that its short side has ``side`` pixels; the long side is rounded down.

    >>> resize_short(torch.zeros(3, 8, 13, dtype=torch.uint8), side=4).shape
    torch.Size([3, 4, 6])
    """
    height, width = (int(side * length / min(image.shape[1:])) for length in image.shape[1:])
    return resize(image, size=(height, width))


def resize_mask(
    mask: UInt8[Tensor, "height width"], *, size: tuple[int, int]
) -> UInt8[Tensor, "{size[0]} {size[1]}"]:
    """Resize class numbers to a height and width with nearest-neighbor interpolation.

    >>> resize_mask(torch.arange(4, dtype=torch.uint8).view(2, 2), size=(2, 4))
    tensor([[0, 0, 1, 1],
            [2, 2, 3, 3]], dtype=torch.uint8)
    """
    if tuple(mask.shape) == tuple(size):
        return mask
    return F.interpolate(mask[None, None], size, mode="nearest-exact")[0, 0]
