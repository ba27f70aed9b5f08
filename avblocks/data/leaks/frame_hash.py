"""Perceptual hash of an image: signs of its low frequencies, which survive re-encoding."""

from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8, UInt16
from torch import Tensor

BITS = 128
_SIDE = 32  # pixels of the reduced image
_BORDER = 24  # gray levels of 255 up to which bars at the border are black
_FLAT = 6.0  # standard deviation in gray levels, below which an image has no hash


def frame_hash(image: UInt8[Tensor, "3 height width"]) -> UInt16[np.ndarray, "8"] | None:
    """Hash an image to 128 bits, as eight words; ``None`` if the image is blank.

    Black bars are removed, the gray image is reduced to 32 x 32 pixels, and each bit is whether one
    of its 128 lowest frequencies, except the mean, is above their median. Size, aspect ratio, bars
    and compression change few bits; crops, mirroring and titles change many.

    Source: the DCT hash of Zauner, "Implementation and benchmarking of perceptual image hash
    functions" (2010), with 128 bits for 64.
    """
    gray = torch.tensor([0.299, 0.587, 0.114]) @ image.float().flatten(1)
    plain = _without_bars(gray.unflatten(0, image.shape[1:]))
    small = F.interpolate(plain[None, None], (_SIDE, _SIDE), mode="bilinear", antialias=True)[0, 0]
    if float(small.std()) < _FLAT:
        return None
    low = (_cosines() @ small.double() @ _cosines().T).flatten()[_lowest()]
    return np.packbits((low > low.median()).numpy()).view(np.uint16)


def _without_bars(gray: Float[Tensor, "height width"]) -> Float[Tensor, "h w"]:
    """Remove black rows and columns at the borders."""
    for axis in (1, 0):
        bright = (gray.amax(axis) > _BORDER).nonzero().flatten()
        if len(bright):
            first, last = int(bright[0]), int(bright[-1])
            gray = gray.narrow(1 - axis, first, last + 1 - first)
    return gray


@cache
def _cosines() -> Float[Tensor, "k k"]:
    """Return the matrix of the DCT-II."""
    index = torch.arange(_SIDE, dtype=torch.float64)
    return torch.cos(torch.pi / _SIDE * index[:, None] * (index + 0.5))


@cache
def _lowest() -> Tensor:
    """Return the indices of the lowest frequencies except the mean, diagonal by diagonal."""
    pairs = sorted((row + column, row, column) for row in range(_SIDE) for column in range(_SIDE))
    return torch.tensor([row * _SIDE + column for _, row, column in pairs[1 : BITS + 1]])
