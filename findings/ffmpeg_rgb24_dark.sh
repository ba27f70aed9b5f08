#!/usr/bin/env bash
# White of 10-bit video comes out of FFmpeg's default conversion to rgb24 as 253 and not as 255.
#
# PyAV 18.1.0 (FFmpeg 8.1 in its wheel). `frame.to_ndarray(format="rgb24")` of a yuv420p10le frame at
# reference white (Y 940, U V 512) gives 253; a frame of 8 bits at its white (Y 235) gives 255. With
# the scaler's flags ACCURATE_RND and FULL_CHR_H_INT both give 255. One would guess that white is white
# whatever the number of bits. Grays between are up to 1.6 levels too dark on the same path.
# Output seen: "8 bits 255, 10 bits 253, 10 bits with accurate rounding 255"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check av==18.1.0 numpy==2.2.6
"$folder/venv/bin/python" - <<'PY'
import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter


def frame(pix_fmt, luma, chroma, dtype):
    made = av.VideoFrame(64, 48, pix_fmt)
    for plane, value in zip(made.planes, (luma, chroma, chroma)):
        plane.update(np.full(plane.buffer_size // np.dtype(dtype).itemsize, value, dtype).tobytes())
    return made


def white(made, flags=None):
    if flags is None:
        return int(made.to_ndarray(format="rgb24")[24, 32, 0])
    options = {"format": "rgb24", "interpolation": Interpolation(int(Interpolation.BILINEAR) | flags)}
    return int(VideoReformatter().reformat(made, **options).to_ndarray()[24, 32, 0])


ten = frame("yuv420p10le", 940, 512, np.uint16)
plain = white(frame("yuv420p", 235, 128, np.uint8)), white(ten)
try:
    accurate = white(ten, 0x40000 | 0x2000)  # SWS_ACCURATE_RND, SWS_FULL_CHR_H_INT
except (ValueError, TypeError):
    accurate = None
print(f"8 bits {plain[0]}, 10 bits {plain[1]}, 10 bits with accurate rounding {accurate}")
assert plain == (255, 253), plain
PY
