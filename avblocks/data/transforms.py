"""Transforms of batches, on the device."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from avblocks.constants import HasConstants
from avblocks.shapes import expect, require, require_floats

_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)
_GRAY = 0.2  # share of the images that lose their colors


class Normalize(HasConstants):
    """Normalize images from 0 to 255 with a mean and standard deviation.

    Args:
        mean: Mean of each color, from 0 to 1; that of ImageNet by default.
        std: Standard deviation of each color, likewise.

    >>> Normalize()(torch.zeros(1, 3, 2, 2, dtype=torch.uint8))[0, :, 0, 0]
    tensor([-2.1179, -2.0357, -1.8044])
    """

    mean: Tensor
    std: Tensor

    def __init__(self, *, mean: Sequence[float] = _MEAN, std: Sequence[float] = _STD) -> None:
        super().__init__()
        self.numbers = {"mean": tuple(mean), "std": tuple(std)}
        self.reset_parameters()

    def constants(self) -> dict[str, Tensor]:
        """Mean and standard deviation."""
        return {name: 255 * torch.tensor(x).view(3, 1, 1) for name, x in self.numbers.items()}

    def forward(
        self, image: Shaped[Tensor, "b 3 height width"]
    ) -> Float[Tensor, "b 3 height width"]:
        """Normalize images with values from 0 to 255."""
        return (image - self.mean) / self.std

    def undo(self, image: Float[Tensor, "b 3 height width"]) -> Float[Tensor, "b 3 height width"]:
        """Undo the normalization and clamp values to [0, 1]."""
        return ((image * self.std + self.mean) / 255).clamp(0, 1)


def flip_images(
    image: Shaped[Tensor, "b 3 height width"], flip: Bool[Tensor, " b"]
) -> Shaped[Tensor, "b 3 height width"]:
    """Mirror the selected images left to right.

    Raises:
        ValueError: if there is not one choice per image.
    """
    expect(image=(image, "b c height width"), flip=(flip, "b"))
    return torch.where(flip[:, None, None, None], image.flip(-1), image)


def apply_gain(audio: Float[Tensor, "b s"], gain: Float[Tensor, " b"]) -> Float[Tensor, "b s"]:
    """Apply a gain in dB to waveforms, and clip them to [-1, 1].

    Raises:
        ValueError: if there is not one gain per waveform, or these are of integers.
    """
    expect(audio=(audio, "b s"), gain=(gain, "b"))
    require_floats(audio=audio)
    return (audio * 10 ** (gain.to(audio.dtype)[:, None] / 20)).clamp(-1, 1)


def jitter_color(
    image: Float[Tensor, "b 3 *size"], *, strength: float, generators: Sequence[torch.Generator]
) -> Float[Tensor, "b 3 *size"]:
    """Change brightness and colors of normalized images, and make each gray with probability 0.2.

    Each image is scaled by a factor from 1 - strength to 1 + strength, and each of its channels is
    shifted by up to ``strength`` standard deviations.

    Args:
        image: normalized images, or videos, whose frames all change in the same way.
        strength: largest change; 0 for none, and then no image becomes gray.
        generators: random source of each image, on the CPU.

    Raises:
        ValueError: if there is not one generator per image.

    Example:
        >>> jitter_color(torch.ones(1, 3, 2, 2), strength=0.0, generators=[torch.Generator()]).sum()
        tensor(12.)
    """
    if not strength:
        return image
    count = len(image)
    require(len(generators) == count, "generators", len(generators), "one for each of {}", count)
    drawn = torch.stack([torch.rand(5, generator=one) for one in generators]).to(image)
    drawn = drawn.view(*drawn.shape, *(1 for _ in image.shape[2:]))
    scale, shift = (1 + strength * (2 * part - 1) for part in (drawn[:, :1], drawn[:, 1:4]))
    image = image * scale + shift - 1
    return torch.where(drawn[:, 4:] < _GRAY, image.mean(dim=1, keepdim=True), image)
