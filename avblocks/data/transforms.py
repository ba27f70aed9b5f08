"""Transforms of whole batches, on the device."""

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn

_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)


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
        self, image: Shaped[Tensor, "b 3 height width"]
    ) -> Float[Tensor, "b 3 height width"]:
        """Normalise a batch of pictures of values from 0 to 255."""
        return (image - self.mean) / self.std

    def undo(self, image: Float[Tensor, "b 3 height width"]) -> Float[Tensor, "b 3 height width"]:
        """Give normalised pictures back with values in [0, 1], what lies outside cut off."""
        return ((image * self.std + self.mean) / 255).clamp(0, 1)


def flip_images(
    image: Shaped[Tensor, "b 3 height width"], flip: Bool[Tensor, " b"]
) -> Shaped[Tensor, "b 3 height width"]:
    """Mirror the marked pictures left to right."""
    return torch.where(flip[:, None, None, None], image.flip(-1), image)


def apply_gain(audio: Float[Tensor, "b s"], gain: Float[Tensor, " b"]) -> Float[Tensor, "b s"]:
    """Make samples louder or softer by a gain in dB, and clip them to [-1, 1]."""
    return (audio * 10 ** (gain[:, None] / 20)).clamp(-1, 1)
