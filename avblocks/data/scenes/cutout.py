"""Cut-out photographs and backgrounds of composed scenes."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float32, UInt8
from torch import Tensor

from avblocks.data.clip import ClipError
from avblocks.data.decode.image import decode_alpha, decode_image, decode_mask
from avblocks.data.resize import resize_short

Cutout = Float32[Tensor, "4 height width"]
"""Red, green and blue, times alpha, and alpha; all in [0, 1]."""

_SMALLEST = 16  # pixels
_FLAT = 4.0  # of 255: standard deviation of the colors of an image of a single color
_LARGEST = 256  # pixels, of the longer side that is kept


def read_cutout(image: Path, mask: Path | None = None) -> Cutout:
    """Read a cut-out photograph, cropped to its visible part, with 256 pixels at most.

    Args:
        image: A file with alpha, or any image file with a mask.
        mask: An image file of the same size, black around the object.

    Raises:
        ClipError: If a file cannot be decoded, the image has no transparent surroundings, or it is
            empty, too small or of one color.
    """
    pixels = decode_alpha(str(image))
    if mask is not None:
        marked = 255 * decode_mask(str(mask), binary=True)
        if marked.shape != pixels.shape[1:]:
            sizes = f"{tuple(marked.shape)}, and the image is {tuple(pixels.shape[1:])}"
            raise ClipError(str(mask), f"the mask is {sizes}")
        pixels[3] = marked
    rows, columns = (_span(pixels[3] > 127, dim) for dim in (1, 0))
    visible = pixels[:, rows, columns]
    _check(str(image), visible, whole=bool((pixels[3] > 127).all()))
    scaled = visible.float() / 255
    scaled[:3] *= scaled[3]
    return shrink(scaled, side=_LARGEST)


def _check(path: str, visible: UInt8[Tensor, "4 height width"], *, whole: bool) -> None:
    """Raise a ClipError for a cutout that shows no object."""
    if whole:
        raise ClipError(path, "no transparent surroundings: it needs alpha, or NAME_mask.png")
    height, width = visible.shape[1:]
    if max(height, width) < _SMALLEST:
        raise ClipError(path, f"{width} x {height} pixels are visible, too few")
    colors = visible[:3, visible[3] > 127].float()
    if colors.std(dim=1, correction=0).max() < _FLAT:
        raise ClipError(path, "it is of a single color")


def _span(marked: torch.Tensor, dim: int) -> slice:
    """Return from where to where a mask is not empty along a dimension."""
    where = marked.any(dim=dim).nonzero().flatten()
    return slice(int(where[0]), int(where[-1]) + 1) if len(where) else slice(0, 0)


def shrink(image: Float32[Tensor, "c h w"], *, side: float) -> Float32[Tensor, "c h2 w2"]:
    """Shrink an image so that its longer side has ``side`` pixels at most."""
    scale = side / max(image.shape[1:])
    if scale >= 1:
        return image
    size = [max(round(scale * length), 1) for length in image.shape[1:]]
    return F.interpolate(image[None], size, mode="bilinear", antialias=True)[0]


def read_background(path: Path, *, side: int) -> UInt8[np.ndarray, "height width 3"]:
    """Read a photograph, with ``side`` pixels in its shorter side.

    Raises:
        ClipError: If it cannot be decoded, is smaller, or is of a single color.
    """
    image = decode_image(str(path))
    if min(image.shape[1:]) < side:
        size = f"{image.shape[2]} x {image.shape[1]} pixels"
        raise ClipError(str(path), f"{size}; a background needs a shorter side of {side}")
    small = resize_short(image, side=side)
    if small.float().flatten(1).std(dim=1, correction=0).max() < _FLAT:
        raise ClipError(str(path), "it is of a single color")
    return np.ascontiguousarray(small.permute(1, 2, 0).numpy())
