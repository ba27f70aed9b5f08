"""What is drawn over many pictures, found once."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

Size = tuple[int, int]
"""Height and width."""


@dataclass(frozen=True)
class Layer:
    """What is drawn over a picture: what it adds, and the share of the picture that stays."""

    light: Float[np.ndarray, "height width 3"]
    share: Float[np.ndarray, "height width 3"]

    def over(
        self, picture: UInt8[np.ndarray, "height width 3"]
    ) -> UInt8[np.ndarray, "height width 3"]:
        """Draw it."""
        return np.rint(self.light + self.share * picture).clip(0, 255).astype(np.uint8)


def layer(paint: Callable[[Float[Tensor, "2 3 height width"]], Tensor], size: Size) -> Layer:
    """Find a layer from what a function of `avblocks.viz` makes of a black and a white picture.

    Args:
        paint: Draws over two pictures, so that each pixel depends on itself alone and linearly.
        size: Of the pictures.
    """
    both = torch.stack([torch.zeros(3, *size), torch.ones(3, *size)])
    black, white = paint(both).movedim(1, -1).numpy()
    return Layer(light=255 * black, share=white - black)
