"""`Overlay`: a drawing that is computed once and drawn over many images."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Integer, UInt16
from torch import Tensor

from avblocks.shapes import require
from avblocks.video.planes import Planes, to_yuv

Size = tuple[int, int]
"""Height and width, pixels."""

_ONE = 256
"""1.0 in fixed-point numbers: weights and values are then sums of 16 bits."""
_EQUAL = 1e-3  # by which weights of the colors of a pixel may differ, less than a level of 256


@dataclass(frozen=True)
class Overlay:
    """A drawing over images of one size, see `make_overlay` and `blend_overlay`.

    Attributes:
        size: Height and width, pixels.
        added: What is added to each value of an image in yuv420p, times 256.
        share: Share of the image that shows through, times 256.
    """

    size: Size
    added: UInt16[np.ndarray, "rows width"]
    share: UInt16[np.ndarray, "rows width"]

    def draw(self, image: Planes) -> Planes:
        """Draw over an image in yuv420p, as PyAV's ``to_ndarray`` returns it."""
        values = image * self.share
        values += self.added  # in place, as new memory costs more than the sums
        values >>= 8
        return values.astype(np.uint8)


def blend_overlay(
    color: Float[Tensor, "3 height width"], opacity: Float[Tensor, "height width"]
) -> Overlay:
    """Make the overlay that blends each pixel with a color, as `torch.lerp` does.

    It differs from `torch.lerp` by up to one level of 255, and its colors have half the resolution.

    Args:
        color: RGB values in [0, 1].
        opacity: Weights of the color in [0, 1].

    Raises:
        ValueError: If a side is odd, or a color or opacity is not in [0, 1].

    >>> overlay = blend_overlay(torch.ones(3, 2, 2), torch.full((2, 2), 0.5))
    >>> overlay.draw(np.full((3, 2), 128, np.uint8))[:2]  # white has a luma of 235
    array([[182, 182],
           [182, 182]], dtype=uint8)
    """
    size = (opacity.shape[0], opacity.shape[1])
    _check(size, color=color, opacity=opacity)
    opacity = (opacity.float() * _ONE).round() / _ONE  # as weights are stored, to sum up to 1
    added = _subsampled(opacity * to_yuv(color.float()))
    share = 1 - _subsampled(opacity.expand(3, -1, -1))
    return Overlay(size=size, added=_fixed(added + 0.5), share=_fixed(share))


def palette_overlay(
    index: Integer[Tensor, "height width"],
    *,
    colors: Float[Tensor, "n 3"],
    opacity: Float[Tensor, " n"],
) -> Overlay:
    """Make the overlay of an image whose pixels are numbers of colors: faster than `blend_overlay`.

    Args:
        index: Number of each pixel's color.
        colors: RGB values in [0, 1].
        opacity: Weight of each color in [0, 1].

    Raises:
        ValueError: If a side is odd, a color or opacity is not in [0, 1], or a number has no color.

    >>> index = torch.tensor([[0, 1], [0, 1]])
    >>> made = palette_overlay(index, colors=torch.ones(2, 3), opacity=torch.tensor([0.0, 0.5]))
    >>> made.draw(np.full((3, 2), 128, np.uint8))[:2]
    array([[128, 182],
           [128, 182]], dtype=uint8)
    """
    size = (index.shape[0], index.shape[1])
    _check(size, colors=colors, opacity=opacity)
    lowest, highest, count = int(index.min()), int(index.max()), len(opacity)
    require(lowest >= 0 and highest < count, "index", (lowest, highest), f"from 0 to {count - 1}")
    opacity = (opacity.float() * _ONE).round() / _ONE
    tables = torch.cat([opacity * to_yuv(colors.float().T[:, None])[:, 0] + 0.5, 1 - opacity[None]])
    added, share, numbers = tables[:3].numpy(), tables[3].numpy(), index.cpu().long().numpy()

    def chroma(table: Float[np.ndarray, " n"]) -> UInt16[np.ndarray, " values"]:
        values = table.take(numbers)  # half the time of an index
        rows = values[::2] + values[1::2]  # in the order of `_subsampled`, for equal sums
        means = (rows[:, ::2] + rows[:, 1::2]) / 4
        return (means * _ONE).round().astype(np.uint16).ravel()

    def luma(table: Float[np.ndarray, " n"]) -> UInt16[np.ndarray, " values"]:
        return (table * _ONE).round().astype(np.uint16).take(numbers).ravel()

    def planes(*parts: UInt16[np.ndarray, " _"]) -> UInt16[np.ndarray, "rows width"]:
        return np.concatenate(parts).reshape(-1, size[1])

    thin = chroma(share)
    return Overlay(
        size=size,
        added=planes(luma(added[0]), chroma(added[1]), chroma(added[2])),
        share=planes(luma(share), thin, thin),
    )


def _check(size: Size, **shares: Tensor) -> None:
    require(not any(side % 2 for side in size), "size", size, "even sides for H.264")
    for name, share in shares.items():
        low, high = float(share.min()), float(share.max())
        require(low >= -_EQUAL and high <= 1 + _EQUAL, name, (low, high), "in [0, 1]")


def make_overlay(
    paint: Callable[[Float[Tensor, "2 3 height width"]], Tensor], size: Size
) -> Overlay:
    """Compute the overlay of a function such as those of `avblocks.viz`.

    The function is called once, with a black and a white image, and the overlay then does the same
    to any image at a fraction of the cost.

    Args:
        paint: Draws over RGB images with values in [0, 1] and returns such values; each pixel of
            the result must be a blend of the same pixel of the image and a color.
        size: Height and width of the images, even numbers.

    Raises:
        ValueError: If ``paint`` does something else to black or white.

    >>> darker = make_overlay(lambda image: image / 2, (2, 2))
    >>> darker.draw(np.full((3, 2), 128, np.uint8))[:2]  # black has a luma of 16
    array([[72, 72],
           [72, 72]], dtype=uint8)
    """
    both = torch.stack([torch.zeros(3, *size), torch.ones(3, *size)])
    black, white = painted = paint(both)
    share = white - black
    low, high = share.aminmax()
    even = (share.amax(dim=0) - share.amin(dim=0)).amax() <= _EQUAL
    within = low >= -_EQUAL and painted.amin() >= -_EQUAL and painted.amax() <= 1 + _EQUAL
    require(
        bool(even and within),
        "paint",
        f"weights {low:g} to {high:g}",
        "a blend of each pixel with a color",
    )
    opacity = 1 - share.mean(dim=0)
    color = black / opacity.clamp(min=_EQUAL)
    return blend_overlay(color.clamp(0, 1), opacity.clamp(0, 1))


def _subsampled(values: Float[Tensor, "3 height width"]) -> Float[Tensor, "rows width"]:
    """Lay out three planes as yuv420p, with the second and third at half the resolution."""
    luma, rows = values[0], values[1:, ::2] + values[1:, 1::2]
    chroma = (rows[..., ::2] + rows[..., 1::2]) / 4
    return torch.cat([luma, chroma.reshape(-1, luma.shape[1])])


def _fixed(values: Float[Tensor, "rows width"]) -> UInt16[np.ndarray, "rows width"]:
    return (values * _ONE).round().numpy().astype(np.uint16)
