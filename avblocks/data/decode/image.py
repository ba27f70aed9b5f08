"""Decode image files, with their size checked before decoding."""

from pathlib import Path
from typing import Literal

import av
import numpy as np
import torch
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext
from jaxtyping import UInt8
from torch import Tensor

from avblocks.data.clip import ClipError
from avblocks.data.decode.container import file_size
from avblocks.data.decode.frames import to_tensor
from avblocks.data.decode.geometry import Orientation, of_exif
from avblocks.data.decode.jpeg import jpeg_end, jpeg_orientation, jpeg_size, png_orientation
from avblocks.data.decode.media import MAX_PIXELS
from avblocks.data.decode.pixels import not_black, to_rgb

_MAX_SIDE = 16_384
_HALF = 128  # of 255
_MAX_BYTES = 64 << 20
_PNG = b"\x89PNG\r\n\x1a\n"
_DEPTH = 24  # position of the bits of a sample, after height and width


def decode_image(path: str) -> UInt8[Tensor, "3 height width"]:
    """Decode a jpg or png file to RGB, oriented by its EXIF data.

    Pixels are taken to be square, as in image viewers; the density in the file is ignored.

    Raises:
        ClipError: If it is missing, empty, neither jpg nor png, damaged or too large.
    """
    frame, turn, _ = _decode(path)
    return to_tensor(turn.apply(to_rgb(frame)))


def decode_alpha(path: str) -> UInt8[Tensor, "4 height width"]:
    """Decode a jpg or png file to RGB and alpha, which is 255 in files without it.

    Raises:
        ClipError: As ``decode_image``.
    """
    frame, turn, _ = _decode(path)
    return to_tensor(turn.apply(to_rgb(frame, alpha=True)))


def decode_mask(path: str, *, binary: bool) -> UInt8[Tensor, "height width"]:
    """Decode a mask from an image file to class numbers, 0 for background.

    The mask is oriented by its EXIF data, as in ``decode_image``.

    Args:
        path: The file.
        binary: Whether every color except black is class 1, unless it is fully transparent; in a
            jpg file, whose edges are blurred, every color with a channel of 128 or more, as in the
            code of SSL-Align. Otherwise the file has one channel, whose gray values or palette
            indices are the class numbers.

    Raises:
        ClipError: As ``decode_image``, and if ``binary`` is false and the image is in color, or
            its gray values are not of 8 bits.
    """
    frame, turn, depth = _decode(path)
    if binary and depth is None:
        marked = to_rgb(frame).max(axis=2) >= _HALF
    elif binary:
        marked = not_black(frame)
    else:
        marked = _class_numbers(path, frame, depth)
    return torch.from_numpy(np.ascontiguousarray(turn.apply(marked))).byte()


def _class_numbers(
    path: str, frame: av.VideoFrame, depth: int | None
) -> UInt8[np.ndarray, "height width"]:
    """Return gray values or palette indices; a png of 2 or 4 bits is decoded to larger values."""
    name = frame.format.name
    if name == "gray" and depth != 8:
        name = "gray of a jpg" if depth is None else f"gray of {depth} bits"
    if name not in ("gray", "pal8"):
        remedy = "class numbers need 8-bit gray or a palette: save it as such a png"
        raise ClipError(path, f"pixels are {name}; {remedy}")
    values = frame.to_ndarray()
    return values[0] if isinstance(values, tuple) else values


def _decode(path: str) -> tuple[av.VideoFrame, Orientation, int | None]:
    """Check the size of an image file and decode it.

    Returns:
        The image, its orientation, and the bits of a sample of a png; None for a jpg.
    """
    data = _bytes(path)
    height, width = _size(path, data)
    if max(height, width) > _MAX_SIDE or not 0 < height * width <= MAX_PIXELS:
        raise ClipError(
            path,
            f"an image of {width}x{height} is empty, or over the {MAX_PIXELS:,} pixels or the "
            f"side of {_MAX_SIDE:,} allowed",
        )
    png = data.startswith(_PNG)
    turn = of_exif((png_orientation if png else jpeg_orientation)(data))
    depth = data[_DEPTH] if png else None
    data = data if png else data[: jpeg_end(data)]
    try:
        return decode_bytes(data, "png" if png else "mjpeg", most=MAX_PIXELS), turn, depth
    except FFmpegError as error:
        raise ClipError(path, f"cannot be decoded ({error.strerror})") from error


def decode_bytes(data: bytes, kind: Literal["png", "mjpeg"], *, most: int) -> av.VideoFrame:
    """Decode the only image of a file, of ``most`` pixels at most.

    Raises:
        FFmpegError: If it is damaged.
    """
    codec = VideoCodecContext.create(kind, "r")
    codec.options = {"max_pixels": str(most), "err_detect": "explode"}
    codec.thread_count = 1
    # A decoder may hold its only frame back until it is flushed.
    frames = [*codec.decode(av.Packet(data)), *codec.decode(None)]
    if not frames:
        raise FFmpegError(0, "holds no image")
    return frames[0]


def _bytes(path: str) -> bytes:
    """Read a file after a check of its size in bytes."""
    length = file_size(path)
    if not 0 < length <= _MAX_BYTES:
        reason = f"{length:,} bytes are over the {_MAX_BYTES:,} allowed"
        raise ClipError(path, reason if length else "the file is empty")
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ClipError(path, f"cannot be opened ({error.strerror})") from error


def _size(path: str, data: bytes) -> tuple[int, int]:
    """Read height and width from the header of a file."""
    if data.startswith(_PNG):
        return int.from_bytes(data[20:24], "big"), int.from_bytes(data[16:20], "big")
    if not data.startswith(b"\xff\xd8"):
        raise ClipError(path, "neither a jpg nor a png image")
    if jpeg_end(data) is None:  # FFmpeg fills a missing end with gray
        raise ClipError(path, "cannot be decoded (the jpg is cut short)")
    size = jpeg_size(data)
    if size is None:
        raise ClipError(path, "cannot be decoded (the jpg has no size)")
    return size
