#!/usr/bin/env bash
# Images of H.264 whose left side is cropped are wider than the stream says, and show what is cropped.
#
# PyAV 18.1.0 (FFmpeg 8.1). A stream may crop each side of its images. `codec_context.width` and `height` are
# without the cropped sides, and one would guess that frames are so too. FFmpeg crops the right and the bottom
# exactly, the left only so far as memory stays aligned (32 pixels on most processors): frames of a stream that crops
# 8 pixels on the left have these 8 columns. A map or a box in pixels of the stream's size is then off. With
# the flag `unaligned` of the codec context, frames have the stated size.
# Seen: "stated 48x32, decoded 56x32, with the flag unaligned 48x32"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check av==18.1.0 numpy==2.2.6
"$folder/venv/bin/python" - "$folder" <<'PY'
import sys
from fractions import Fraction

import av
import numpy as np
from av.codec.context import Flags

path = f"{sys.argv[1]}/cropped.mp4"
with av.open(path, "w") as container:
    options = {"x264-params": "crop-rect=8,8,8,8"}  # left, top, right, bottom
    video = container.add_stream("libx264", rate=10, options=options)
    video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
    for number in range(10):
        frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
        frame.pts, frame.time_base = number, Fraction(1, 10)
        container.mux(video.encode(frame))
    container.mux(video.encode(None))


def decoded(*flags):
    """The stated size, and that of the first frame, with more flags."""
    with av.open(path) as container:
        context = container.streams.video[0].codec_context
        for flag in flags:
            context.flags |= flag
        stated = context.width, context.height
        frame = next(container.decode(video=0))
    return stated, (frame.width, frame.height)


(stated, usual), (_, exact) = decoded(), decoded(Flags.unaligned)
size = "{}x{}".format
print(f"stated {size(*stated)}, decoded {size(*usual)}, with the flag unaligned {size(*exact)}")
assert (stated, usual, exact) == ((48, 32), (56, 32), (48, 32)), (stated, usual, exact)
PY
