"""Display geometry of images: rotation, mirroring and square pixels."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, cast

import av
import numpy as np
from av.video.stream import VideoStream

Size = tuple[int, int]
"""Height and width, pixels."""

_QUARTER = 90


@dataclass(frozen=True)
class Orientation:
    """One of the eight orientations of an image; its fields are applied in their order.

    >>> Orientation(transposed=True, mirrored=True).apply(np.array([[1, 2], [3, 4]]))
    array([[3, 1],
           [4, 2]])
    """

    transposed: bool = False
    flipped: bool = False  # upside down
    mirrored: bool = False  # left and right exchanged

    def apply(self, image: np.ndarray) -> np.ndarray:
        """Apply the orientation to an image (height, width, ...), without a copy."""
        image = image.swapaxes(0, 1) if self.transposed else image
        image = image[::-1] if self.flipped else image
        return image[:, ::-1] if self.mirrored else image

    def size(self, size: Size) -> Size:
        """Return the size after the orientation is applied; the function is its own inverse."""
        return (size[1], size[0]) if self.transposed else size


# By EXIF number.
_EXIF = {
    1: Orientation(),
    2: Orientation(mirrored=True),
    3: Orientation(flipped=True, mirrored=True),
    4: Orientation(flipped=True),
    5: Orientation(transposed=True),
    6: Orientation(transposed=True, mirrored=True),
    7: Orientation(transposed=True, flipped=True, mirrored=True),
    8: Orientation(transposed=True, flipped=True),
}


def of_exif(number: int) -> Orientation:
    """Return the orientation of an EXIF number from 1 to 8; upright for any other number."""
    return _EXIF.get(number, Orientation())


def of_matrix(matrix: bytes) -> Orientation:
    """Return the orientation of a display matrix, nine native 32-bit integers.

    The matrix shows pixel (x, y) at (a x + c y, b x + d y). Angles are rounded to quarter turns.
    """
    a, b, _, c, d, *_ = struct.unpack("=9i", matrix)
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Orientation(flipped=d < 0, mirrored=a < 0)
    return Orientation(transposed=True, flipped=b < 0, mirrored=c < 0)


def orientation(frame: av.VideoFrame) -> Orientation:
    """Return the display orientation of a decoded frame."""
    try:
        return of_matrix(bytes(cast(Mapping[str, Any], frame.side_data)["DISPLAYMATRIX"]))
    except KeyError:
        return Orientation()
    except ValueError:
        # PyAV 18 and 19 cannot list side data that include an unknown kind. The angle is enough
        # except for mirroring.
        return _EXIF[(1, 8, 3, 6)[round(frame.rotation / _QUARTER) % 4]]


def pixel_aspect(stream: VideoStream) -> Fraction:
    """Return the aspect ratio (width / height) of a stream's pixels: 1 if they are square."""
    aspect = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio
    return Fraction(aspect.numerator, aspect.denominator) if aspect else Fraction(1)


def square_size(size: Size, aspect: Fraction) -> Size:
    """Return the size of an image after it is stretched to square pixels.

    >>> square_size((48, 64), Fraction(4, 3)), square_size((48, 64), Fraction(1, 2))
    ((48, 85), (96, 64))
    """
    height, width = size
    if aspect >= 1:
        return height, round(width * aspect)
    return round(height / aspect), width
