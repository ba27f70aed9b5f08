"""Exact conversion between decoded frames and RGB images."""

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter
from jaxtyping import Bool, UInt8

from avblocks.data.decode.geometry import Size

RgbImage = UInt8[np.ndarray, "height width 3"]
RgbaImage = UInt8[np.ndarray, "height width 4"]

_EXACT = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
# FFmpeg has special converters for these. Its general converter, without the flags above, returns
# images that are darker by 1 to 4 levels of 255, except for formats of full chroma and 8 bits.
_DIRECT = frozenset({"yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuva420p"})


def to_rgb(
    frame: av.VideoFrame, size: Size | None = None, *, alpha: bool = False
) -> RgbImage | RgbaImage:
    """Convert a frame to an RGB image, optionally resized to ``size`` and with ``alpha``."""
    height, width = size or (frame.height, frame.width)
    direct = frame.format.name in _DIRECT and (height, width) == (frame.height, frame.width)
    # A single thread: the thread pool of av 19 hangs in a forked worker.
    image = VideoReformatter().reformat(
        frame,
        width,
        height,
        "rgba" if alpha else "rgb24",
        interpolation=Interpolation.BILINEAR if direct else _EXACT,
        threads=1,
    )
    return image.to_ndarray()


def not_black(frame: av.VideoFrame) -> Bool[np.ndarray, "height width"]:
    """Return which pixels of a png image are neither black nor fully transparent.

    Channels of 16 bits are compared as they are: their values below 256, such as class numbers,
    would all be 0 in 8 bits.
    """
    channels = len(frame.format.components)
    if frame.format.components[0].bits == 16:
        rows = np.frombuffer(bytes(frame.planes[0]), np.uint8).reshape(frame.height, -1)
        data = rows[:, : frame.width * channels * 2].reshape(frame.height, frame.width, -1, 2)
        values, colors = np.any(data, axis=-1), channels - (channels % 2 == 0)
    else:
        values, colors = to_rgb(frame, alpha=True).astype(bool), 3
    return np.logical_and(values[..., :colors].any(axis=-1), values[..., colors:].all(axis=-1))


def from_rgb(image: RgbImage, *, format: str) -> av.VideoFrame:
    """Convert an RGB image to a frame of a pixel format."""
    rgb = av.VideoFrame.from_ndarray(image, format="rgb24")
    return VideoReformatter().reformat(rgb, format=format, interpolation=_EXACT, threads=1)
