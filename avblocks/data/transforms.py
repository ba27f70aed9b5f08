"""Transforms: crops in the workers, on bytes; the rest in batches, on the device."""

import math

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn
from torchvision.transforms.v2 import functional as F

_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)
_ASPECT = (3 / 4, 4 / 3)
_TRIES = 10

Image = UInt8[Tensor, "3 height width"]


def random_resized_crop(
    image: Image,
    *,
    size: int,
    scale: tuple[float, float] = (0.5, 1.0),
    generator: torch.Generator,
) -> UInt8[Tensor, "3 {size} {size}"]:
    """Cut a random part out of a picture and resize it to a square.

    Args:
        image: The picture.
        size: Side of the square, pixels.
        scale: Smallest and largest share of the area.
        generator: Source of place, share and aspect ratio (3/4 to 4/3).

    Returns:
        The part; the largest centred one of allowed aspect ratio if ten draws do not fit.
    """
    top, left, height, width = _draw_box(image, scale=scale, generator=generator)
    return F.resized_crop(image, top, left, height, width, [size, size], antialias=True)


def _draw_box(
    image: Image, *, scale: tuple[float, float], generator: torch.Generator
) -> tuple[int, int, int, int]:
    """Draw top, left, height and width of a crop, as torchvision's ``RandomResizedCrop`` does."""
    height, width = image.shape[-2:]
    low, high = math.log(_ASPECT[0]), math.log(_ASPECT[1])
    for _ in range(_TRIES):
        share, aspect, down, right = torch.rand(4, generator=generator).tolist()
        area = height * width * (scale[0] + share * (scale[1] - scale[0]))
        ratio = math.exp(low + aspect * (high - low))
        w, h = round((area * ratio) ** 0.5), round((area / ratio) ** 0.5)
        if 0 < w <= width and 0 < h <= height:
            return int(down * (height - h + 1)), int(right * (width - w + 1)), h, w
    w = min(width, round(height * _ASPECT[1]))
    h = min(height, round(width / _ASPECT[0]))
    return (height - h) // 2, (width - w) // 2, h, w


def center_crop(
    image: Image, *, size: int, ratio: float = 0.875
) -> UInt8[Tensor, "3 {size} {size}"]:
    """Resize the short side to ``size / ratio`` and cut the middle out.

    Args:
        image: The picture.
        size: Side of the square, pixels.
        ratio: Share of the short side that stays.

    Returns:
        The middle.
    """
    resized = F.resize(image, [round(size / ratio)], antialias=True)
    return F.center_crop(resized, [size, size])


class Normalize(nn.Module):
    """Bytes to floats of about zero mean and unit deviation, with ImageNet's figures.

    >>> Normalize()(torch.zeros(1, 3, 2, 2, dtype=torch.uint8))[0, :, 0, 0]
    tensor([-2.1179, -2.0357, -1.8044])
    """

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", 255 * torch.tensor(_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", 255 * torch.tensor(_STD).view(3, 1, 1), persistent=False)

    def forward(
        self, image: UInt8[Tensor, "b 3 height width"]
    ) -> Float[Tensor, "b 3 height width"]:
        """Normalise a batch of pictures."""
        return (image - self.mean) / self.std

    def undo(self, image: Float[Tensor, "b 3 height width"]) -> Float[Tensor, "b 3 height width"]:
        """Give normalised pictures back with values in [0, 1], what lies outside cut off."""
        return ((image * self.std + self.mean) / 255).clamp(0, 1)


def flip_images(
    image: UInt8[Tensor, "b 3 height width"], flip: Bool[Tensor, " b"]
) -> UInt8[Tensor, "b 3 height width"]:
    """Mirror the marked pictures left to right."""
    return torch.where(flip[:, None, None, None], image.flip(-1), image)


def apply_gain(audio: Float[Tensor, "b s"], gain: Float[Tensor, " b"]) -> Float[Tensor, "b s"]:
    """Make sounds louder or softer and cut them to [-1, 1].

    Args:
        audio: Samples.
        gain: In dB.

    Returns:
        Samples.
    """
    return (audio * 10 ** (gain[:, None] / 20)).clamp(-1, 1)
