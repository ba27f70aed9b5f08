"""`Overlay`: a drawing that is computed once and drawn over many images."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

Size = tuple[int, int]
"""Height and width, pixels."""


@dataclass(frozen=True)
class Overlay:
    """A drawing over images of one size: ``color + transparency * image``.

    Attributes:
        color: What is added to each pixel, from 0 to 255.
        transparency: Share of the image that shows through, from 0 to 1.
    """

    color: Float[np.ndarray, "height width 3"]
    transparency: Float[np.ndarray, "height width 3"]

    @property
    def size(self) -> Size:
        """Height and width, pixels."""
        return self.color.shape[0], self.color.shape[1]

    def draw(
        self, image: UInt8[np.ndarray, "height width 3"]
    ) -> UInt8[np.ndarray, "height width 3"]:
        """Draw over an RGB image."""
        pixels = self.transparency * image
        pixels += self.color  # in place, as new memory costs more than the sums
        np.rint(pixels, out=pixels)
        np.clip(pixels, 0, 255, out=pixels)
        return pixels.astype(np.uint8)


def make_overlay(
    paint: Callable[[Float[Tensor, "2 3 height width"]], Tensor], size: Size
) -> Overlay:
    """Compute the overlay of a function such as those of `avblocks.viz`.

    The function is called once, with a black and a white image, and the overlay then does the same
    to any image at a fraction of the cost.

    Args:
        paint: Draws over RGB images with values in [0, 1]; each pixel of the result must be a
            linear function of the same pixel of the image.
        size: Height and width of the images.

    >>> darker = make_overlay(lambda image: image / 2, (1, 1))
    >>> darker.draw(np.full((1, 1, 3), 100, np.uint8))
    array([[[50, 50, 50]]], dtype=uint8)
    """
    both = torch.stack([torch.zeros(3, *size), torch.ones(3, *size)])
    black, white = paint(both).movedim(1, -1).numpy()
    return Overlay(color=255 * black, transparency=white - black)
