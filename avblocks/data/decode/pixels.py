"""Exact conversion between decoded frames and RGB images."""

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter
from jaxtyping import UInt8

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


def from_rgb(image: RgbImage, *, format: str) -> av.VideoFrame:
    """Convert an RGB image to a frame of a pixel format."""
    rgb = av.VideoFrame.from_ndarray(image, format="rgb24")
    return VideoReformatter().reformat(rgb, format=format, interpolation=_EXACT, threads=1)
