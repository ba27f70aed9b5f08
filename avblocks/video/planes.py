"""Images in yuv420p, the format of H.264, in BT.601 and limited range, as FFmpeg assumes them."""

import av
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from avblocks.data.decode.frames import rgb
from avblocks.data.decode.geometry import Orientation, Size, orientation
from avblocks.data.decode.media import Media
from avblocks.data.decode.pixels import from_rgb

Planes = UInt8[np.ndarray, "rows width"]
"""The luma of an image, then its two chroma planes, as PyAV's ``to_ndarray`` returns them."""

_BT601 = (2, 5, 6)  # FFmpeg's numbers of untagged, BT.470 BG and SMPTE 170 M
_LIMITED = (0, 1)  # untagged, limited
_FROM_RGB = ((65.481, 128.553, 24.966), (-37.797, -74.203, 112.0), (112.0, -93.786, -18.214))
_ZERO = (16.0, 128.0, 128.0)


def to_planes(frame: av.VideoFrame, media: Media, size: Size) -> Planes:
    """Return a frame as it is shown, resized to a size with even sides."""
    if (
        frame.format.name == "yuv420p"
        and (frame.height, frame.width) == size
        and frame.colorspace in _BT601
        and frame.color_range in _LIMITED
        and orientation(frame) == Orientation()
    ):
        return frame.to_ndarray()
    image = np.ascontiguousarray(rgb(frame, media, size))
    return from_rgb(image, format="yuv420p").to_ndarray()


def to_yuv(color: Float[Tensor, "3 height width"]) -> Float[Tensor, "3 height width"]:
    """Convert RGB values in [0, 1] to luma and chroma from 0 to 255, in limited range."""
    mixed = torch.tensor(_FROM_RGB) @ color.flatten(1)
    return mixed.view_as(color) + torch.tensor(_ZERO)[:, None, None]
