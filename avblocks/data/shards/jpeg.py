"""Pictures as JPEG in memory."""

from fractions import Fraction

import av
import numpy as np
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext
from av.video.reformatter import VideoReformatter
from jaxtyping import UInt8

Picture = UInt8[np.ndarray, "height width 3"]

MAX_PIXELS = 4096 * 4096
_SIZES = (0xC0, 0xC1, 0xC2)  # of the segments that give the size: baseline, extended, progressive


def encode_jpeg(picture: Picture, *, quality: int) -> bytes:
    """Encode a picture, the same bytes for the same picture.

    Args:
        picture: RGB.
        quality: FFmpeg's scale, from 2, the best, to 31.

    Returns:
        A JPEG file.
    """
    # One thread of our own: those av 19 keeps for its conversions hang a forked worker.
    rgb = av.VideoFrame.from_ndarray(picture, format="rgb24")
    frame = VideoReformatter().reformat(rgb, format="yuvj420p", threads=1)
    codec = VideoCodecContext.create("mjpeg", "w")
    codec.width, codec.height, codec.pix_fmt = frame.width, frame.height, "yuvj420p"
    codec.time_base, codec.thread_count, frame.pts = Fraction(1), 1, 0
    codec.options = {"qmin": str(quality), "qmax": str(quality), "flags": "+bitexact"}
    return b"".join(bytes(packet) for packet in (*codec.encode(frame), *codec.encode(None)))


def jpeg_size(data: bytes | bytearray) -> tuple[int, int]:
    """Read the size of a picture without decoding it.

    Args:
        data: A JPEG file.

    Returns:
        Height and width.

    Raises:
        ValueError: If it is no whole JPEG of a usual kind.
    """
    place = 2
    whole = data[:2] == b"\xff\xd8" and data[-2:] == b"\xff\xd9"
    while whole and place + 9 <= len(data) and data[place] == 0xFF:
        if data[place + 1] in _SIZES:
            sides = data[place + 5 : place + 9]
            return int.from_bytes(sides[:2], "big"), int.from_bytes(sides[2:], "big")
        place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    raise ValueError("the picture is no whole JPEG")


def decode_jpeg(data: bytes | bytearray) -> Picture:
    """Decode a picture.

    Args:
        data: A JPEG file.

    Returns:
        RGB.

    Raises:
        ValueError: If it is no JPEG, has too many pixels or is damaged.
    """
    height, width = jpeg_size(data)
    if not 0 < height * width <= MAX_PIXELS:
        raise ValueError(f"a picture of {width}x{height} is over the {MAX_PIXELS:,} pixels allowed")
    codec = VideoCodecContext.create("mjpeg", "r")
    codec.options = {"max_pixels": str(MAX_PIXELS), "err_detect": "explode"}
    codec.thread_count = 1
    try:
        frames = [*codec.decode(av.Packet(bytes(data))), *codec.decode(None)]
    except FFmpegError as error:
        raise ValueError(f"the picture cannot be decoded ({error.strerror})") from error
    if not frames:
        raise ValueError("the picture cannot be decoded")
    # Straight to planes, FFmpeg 8.1 leaves the last columns of odd widths unwritten.
    return VideoReformatter().reformat(frames[0], format="rgb24", threads=1).to_ndarray()
