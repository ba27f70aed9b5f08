"""Encode and decode JPEG images in memory."""

from typing import Literal

import av
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext

from avblocks.data.decode.image import decode_bytes
from avblocks.data.decode.jpeg import jpeg_size
from avblocks.data.decode.pixels import RgbImage, from_rgb, to_rgb
from avblocks.data.write import encode_image

MAX_PIXELS = 4096 * 4096
_SIZES = (0xC0, 0xC1, 0xC2)  # of the segments that give the size: baseline, extended, progressive


def encode_jpeg(image: RgbImage, *, quality: int) -> bytes:
    """Encode an RGB image deterministically.

    ``quality`` is on FFmpeg's scale, from 2 (best) to 31.
    """
    frame = from_rgb(image, format="yuvj420p")
    codec = VideoCodecContext.create("mjpeg", "w")
    codec.pix_fmt = "yuvj420p"
    codec.options = {"qmin": str(quality), "qmax": str(quality), "flags": "+bitexact"}
    return encode_image(codec, frame)


def decode_jpeg(data: bytes | bytearray) -> RgbImage:
    """Decode a JPEG file to RGB.

    Raises:
        ValueError: If it is not a complete baseline, extended or progressive JPEG, is damaged, or
            has too many pixels.
    """
    whole = data[:2] == b"\xff\xd8" and data[-2:] == b"\xff\xd9"
    size = jpeg_size(data, kinds=_SIZES) if whole else None
    if size is None:
        raise ValueError("the image is not a complete JPEG")
    height, width = size
    # A conversion to planar RGB in FFmpeg 8.1 leaves the last columns of odd widths unwritten.
    return to_rgb(decoded(data, "mjpeg", width=width, height=height))


def decoded(
    data: bytes | bytearray, kind: Literal["png", "mjpeg"], *, width: int, height: int
) -> av.VideoFrame:
    """Decode an image whose header says its size.

    Raises:
        ValueError: If it has too many pixels, or is damaged.
    """
    if not 0 < height * width <= MAX_PIXELS:
        raise ValueError(f"an image of {width}x{height} is over the {MAX_PIXELS:,} pixels allowed")
    try:
        return decode_bytes(bytes(data), kind, most=MAX_PIXELS)
    except FFmpegError as error:
        raise ValueError(f"the image cannot be decoded ({error.strerror})") from error
