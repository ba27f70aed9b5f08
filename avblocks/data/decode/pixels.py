"""Decoded frames to RGB and back, exactly."""

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter
from jaxtyping import UInt8

from avblocks.data.decode.geometry import Size

Picture = UInt8[np.ndarray, "height width 3"]

_EXACT = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
# FFmpeg has converters of their own for these; with its general one, and without the flags above,
# all others but those of full color and 8 bits come out darker, by 1 to 4 levels of 255.
_DIRECT = frozenset({"yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuva420p"})


def to_rgb(frame: av.VideoFrame, size: Size | None = None) -> Picture:
    """Convert a frame to RGB, of another height and width if given."""
    height, width = size or (frame.height, frame.width)
    direct = frame.format.name in _DIRECT and (height, width) == (frame.height, frame.width)
    # One thread of our own: those av 19 keeps for its conversions hang a forked worker.
    picture = VideoReformatter().reformat(
        frame,
        width,
        height,
        "rgb24",
        interpolation=Interpolation.BILINEAR if direct else _EXACT,
        threads=1,
    )
    return picture.to_ndarray()


def from_rgb(picture: Picture, *, format: str) -> av.VideoFrame:
    """Convert an RGB image to a frame of some pixel format."""
    rgb = av.VideoFrame.from_ndarray(picture, format="rgb24")
    return VideoReformatter().reformat(rgb, format=format, interpolation=_EXACT, threads=1)
