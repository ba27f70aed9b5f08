"""Pictures as JPEG in memory."""

from fractions import Fraction

import numpy as np
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext
from jaxtyping import UInt8

from avblocks.data.decode.image import decode_bytes
from avblocks.data.decode.jpeg import jpeg_size
from avblocks.data.decode.pixels import from_rgb, to_rgb

Picture = UInt8[np.ndarray, "height width 3"]

MAX_PIXELS = 4096 * 4096
_SIZES = (0xC0, 0xC1, 0xC2)  # of the segments that give the size: baseline, extended, progressive


def encode_jpeg(picture: Picture, *, quality: int) -> bytes:
    """Encode an RGB picture, the same bytes for the same picture.

    ``quality`` is on FFmpeg's scale, from 2, the best, to 31.
    """
    frame = from_rgb(picture, format="yuvj420p")
    codec = VideoCodecContext.create("mjpeg", "w")
    codec.width, codec.height, codec.pix_fmt = frame.width, frame.height, "yuvj420p"
    codec.time_base, codec.thread_count, frame.pts = Fraction(1), 1, 0
    codec.options = {"qmin": str(quality), "qmax": str(quality), "flags": "+bitexact"}
    return b"".join(bytes(packet) for packet in (*codec.encode(frame), *codec.encode(None)))


def decode_jpeg(data: bytes | bytearray) -> Picture:
    """Decode a JPEG file to RGB.

    Raises:
        ValueError: If it is no whole JPEG of a usual kind, has too many pixels or is damaged.
    """
    whole = data[:2] == b"\xff\xd8" and data[-2:] == b"\xff\xd9"
    size = jpeg_size(data, kinds=_SIZES) if whole else None
    if size is None:
        raise ValueError("the picture is no whole JPEG")
    height, width = size
    if not 0 < height * width <= MAX_PIXELS:
        raise ValueError(f"a picture of {width}x{height} is over the {MAX_PIXELS:,} pixels allowed")
    try:
        frame = decode_bytes(bytes(data), "mjpeg", most=MAX_PIXELS)
    except FFmpegError as error:
        raise ValueError(f"the picture cannot be decoded ({error.strerror})") from error
    # Straight to planes, FFmpeg 8.1 leaves the last columns of odd widths unwritten.
    return to_rgb(frame)
