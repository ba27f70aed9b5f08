#!/usr/bin/env bash
# H.264 with B-frames in avi: FFmpeg gives each image the time of the packet it was decoded from.
#
# PyAV 18.1.0 (FFmpeg 8.1). avi has no presentation times. Of a file of numbered images with B-frames,
# the decoder returns the images in the order of showing, but their `pts` are not the numbers 0, 1, 2:
# they are times in decoding order, so images appear up to some frames off when sought by time. One
# would guess times in the order of showing, as in mp4, since the decoder knows that order.
# Output seen: "mp4 in order, avi out of order"
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


def written(path):
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=20, options={"bf": "3", "g": "15", "qp": "10"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(40):
            image = np.full((48, 64, 3), 6 * number, np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 20)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def steps(path):
    """Differences of the times of the images, in images, as the decoder returns them."""
    with av.open(path) as container:
        times = [float(frame.time) * 20 for frame in container.decode(video=0)]
    return [round(b - a, 3) for a, b in zip(times, times[1:])]


mp4, avi = steps(written(f"{sys.argv[1]}/a.mp4")), steps(written(f"{sys.argv[1]}/a.avi"))
print("mp4", "in order," if set(mp4) == {1.0} else f"{mp4[:8]},", end=" ")
print("avi", "in order" if set(avi) == {1.0} else "out of order")
print("steps of the times in avi:", avi[:12])
assert set(mp4) == {1.0} and set(avi) != {1.0}
PY
