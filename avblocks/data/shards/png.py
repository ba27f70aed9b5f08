"""Decode PNG images in memory, and encode masks as PNG."""

from fractions import Fraction

import av
import numpy as np
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext
from jaxtyping import UInt8

from avblocks.data.decode.image import decode_bytes
from avblocks.data.decode.pixels import RgbImage, to_rgb
from avblocks.data.shards.jpeg import MAX_PIXELS

MAGIC = b"\x89PNG\r\n\x1a\n"
Mask = UInt8[np.ndarray, "height width"]


def encode_mask(mask: Mask) -> bytes:
    """Encode class numbers as a gray image, deterministically."""
    codec = VideoCodecContext.create("png", "w")
    (codec.height, codec.width), codec.pix_fmt = mask.shape, "gray"
    codec.time_base, codec.thread_count = Fraction(1), 1
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(mask), format="gray")
    frame.pts = 0
    return b"".join(bytes(packet) for packet in (*codec.encode(frame), *codec.encode(None)))


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
    if not 0 < height * width <= MAX_PIXELS:
        raise ValueError(f"an image of {width}x{height} is over the {MAX_PIXELS:,} pixels allowed")
    try:
        return decode_bytes(bytes(data), "png", most=MAX_PIXELS)
    except FFmpegError as error:
        raise ValueError(f"the image cannot be decoded ({error.strerror})") from error
