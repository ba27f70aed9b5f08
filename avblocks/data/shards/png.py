"""Decode PNG images in memory, and encode masks as PNG."""

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext
from jaxtyping import UInt8

from avblocks.data.decode.pixels import RgbImage, to_rgb
from avblocks.data.shards.jpeg import decoded
from avblocks.data.write import encode_image

MAGIC = b"\x89PNG\r\n\x1a\n"
Mask = UInt8[np.ndarray, "height width"]


def encode_mask(mask: Mask) -> bytes:
    """Encode class numbers as a gray image, deterministically."""
    codec = VideoCodecContext.create("png", "w")
    codec.pix_fmt = "gray"
    return encode_image(
        codec, av.VideoFrame.from_ndarray(np.ascontiguousarray(mask), format="gray")
    )


def decode_mask(data: bytes | bytearray) -> Mask:
    """Decode a gray PNG file to class numbers.

    Raises:
        ValueError: If it is not a gray PNG of 8 bits, is damaged, or has too many pixels.
    """
    frame = _decode(data)
    if frame.format.name != "gray":
        raise ValueError(f"the mask is {frame.format.name}, not gray of 8 bits")
    return frame.to_ndarray()


def decode_png(data: bytes | bytearray) -> RgbImage:
    """Decode a PNG file to RGB.

    Raises:
        ValueError: If it is not a PNG, is damaged, or has too many pixels.
    """
    return to_rgb(_decode(data))


def _decode(data: bytes | bytearray) -> av.VideoFrame:
    if not data.startswith(MAGIC):
        raise ValueError("the image is not a PNG")
    width, height = (int.from_bytes(data[place : place + 4]) for place in (16, 20))
    return decoded(data, "png", width=width, height=height)
