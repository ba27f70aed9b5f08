"""Picture files, with sizes bounded before anything is decoded."""

from collections.abc import Container
from pathlib import Path
from typing import Literal

import av
import torch
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext
from jaxtyping import UInt8
from torch import Tensor

from avblocks.data.clip import ClipError
from avblocks.data.decode.frames import rgb, to_tensor
from avblocks.data.decode.media import MAX_PIXELS, file_size

_MAX_SIDE = 16_384
_MAX_BYTES = 64 << 20
_TAIL = 4096  # bytes at the end of a jpg, where others may follow its end marker
_PNG = b"\x89PNG\r\n\x1a\n"
# Start-of-frame markers of JPEG, which hold the size; C4, C8 and CC are something else.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_BARE = frozenset({0x01, *range(0xD0, 0xD9)})  # markers without a length


def decode_picture(path: str) -> UInt8[Tensor, "3 height width"]:
    """Decode a jpg or png file to RGB, turned as the file says, by quarters of a circle.

    Raises:
        ClipError: If it is missing, empty, neither jpg nor png, damaged or too large.
    """
    return to_tensor(rgb(_decode(path)))


def decode_mask(path: str, *, binary: bool) -> UInt8[Tensor, "height width"]:
    """Decode a picture file that marks pixels to class numbers, 0 for background.

    Args:
        path: The file.
        binary: Whether any color but black marks the one class there is; otherwise the file has
            one channel, gray values or places in a palette, which are the class numbers.

    Raises:
        ClipError: As ``decode_picture``, and if class numbers are wanted of a colored picture.
    """
    frame = _decode(path)
    if binary:
        return torch.from_numpy(rgb(frame).max(axis=2)).clamp(max=1)
    if frame.format.name not in ("gray", "pal8"):
        raise ClipError(path, f"pixels are {frame.format.name}; class numbers need 8 bits of grey")
    places = frame.to_ndarray()
    return torch.from_numpy(places[0] if isinstance(places, tuple) else places)


def _decode(path: str) -> av.VideoFrame:
    """Decode a file of a size that a picture may have."""
    data = _bytes(path)
    height, width = _size(path, data)
    if max(height, width) > _MAX_SIDE or not 0 < height * width <= MAX_PIXELS:
        raise ClipError(
            path,
            f"a picture of {width}x{height} is empty, or over the {MAX_PIXELS:,} pixels or the "
            f"side of {_MAX_SIDE:,} allowed",
        )
    try:
        return decode_bytes(data, "png" if data.startswith(_PNG) else "mjpeg", most=MAX_PIXELS)
    except FFmpegError as error:
        raise ClipError(path, f"cannot be decoded ({error.strerror})") from error


def decode_bytes(data: bytes, kind: Literal["png", "mjpeg"], *, most: int) -> av.VideoFrame:
    """Decode the only picture of a file, of so many pixels at most.

    Raises:
        FFmpegError: If it is damaged.
    """
    codec = VideoCodecContext.create(kind, "r")
    codec.options = {"max_pixels": str(most), "err_detect": "explode"}
    codec.thread_count = 1
    # A decoder may hold its only frame back until it is told that there are no more.
    frames = [*codec.decode(av.Packet(data)), *codec.decode(None)]
    if not frames:
        raise FFmpegError(0, "holds no picture")
    return frames[0]


def _bytes(path: str) -> bytes:
    """Read a file of a size that a picture file may have."""
    length = file_size(path)
    if not 0 < length <= _MAX_BYTES:
        reason = f"{length:,} bytes are over the {_MAX_BYTES:,} allowed"
        raise ClipError(path, reason if length else "the file is empty")
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ClipError(path, f"cannot be opened ({error.strerror})") from error


def _size(path: str, data: bytes) -> tuple[int, int]:
    """Find height and width in the head of a file."""
    if data.startswith(_PNG):
        return int.from_bytes(data[20:24], "big"), int.from_bytes(data[16:20], "big")
    if not data.startswith(b"\xff\xd8"):
        raise ClipError(path, "neither a jpg nor a png picture")
    if b"\xff\xd9" not in data[-_TAIL:]:  # FFmpeg fills a missing end with grey
        raise ClipError(path, "cannot be decoded (the jpg is cut short)")
    size = jpeg_size(data)
    if size is None:
        raise ClipError(path, "cannot be decoded (the jpg has no size)")
    return size


def jpeg_size(
    data: bytes | bytearray, *, kinds: Container[int] = _FRAMES
) -> tuple[int, int] | None:
    """Find height and width in a jpg by the first start-of-frame marker of some kinds, if any."""
    place = 2
    while place + 9 <= len(data) and data[place] == 0xFF:
        kind = data[place + 1]
        if kind in kinds:
            sizes = data[place + 5 : place + 9]
            return int.from_bytes(sizes[:2], "big"), int.from_bytes(sizes[2:], "big")
        # A marker may be preceded by any number of 0xFF.
        length = 2 + int.from_bytes(data[place + 2 : place + 4], "big")
        place += 1 if kind == 0xFF else 2 if kind in _BARE else length
    return None
