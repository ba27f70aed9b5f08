#!/usr/bin/env bash
# Gray frames through lossless H.264 come back with another contrast, those through HEVC do not.
#
# PyAV 18.1.0 (FFmpeg 8.1 in its wheel). In FFmpeg a frame of "gray" holds all levels from 0 to 255, and
# libx264 takes it (`pix_fmt = "gray"`), such as for videos of masks or depth. But H.264 stores the levels
# unchanged without a word on their range, and the decoder of 4:0:0 returns "yuv420p", whose luma ends at
# 16 and 235. So `to_ndarray(format="gray")` or "rgb24" stretches them: 128 becomes 130, 64 becomes 56, and
# all below 16 is 0. One would guess that a lossless codec gives back what was written, as libx265 and
# FFV1 do, whose decoders return "gray". With `codec_context.color_range = 2` (full) libx264 does, too.
# Output seen: "0 16 64 128 235 255 by libx264 (yuv420p): 0 0 56 130 255 255; by libx265 (gray): 0 16 64
# 128 235 255; by libx264 of full range (yuvj420p): 0 16 64 128 235 255"
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

LEVELS = np.arange(256, dtype=np.uint8)
SHOWN = [0, 16, 64, 128, 235, 255]
LOSSLESS = {
    "libx264": {"qp": "0"},
    "libx265": {"x265-params": "lossless=1:log-level=none"},
    "ffv1": {},
}


def through(codec, full=False):
    """The levels after encoding and decoding, and the pixel format of the decoded frame."""
    path = f"{sys.argv[1]}/a.mkv"
    with av.open(path, "w") as container:
        stream = container.add_stream(codec, rate=10, options=LOSSLESS[codec])
        stream.width, stream.height, stream.pix_fmt = 256, 64, "gray"
        if full:
            stream.codec_context.color_range = 2
        frame = av.VideoFrame.from_ndarray(np.tile(LEVELS, (64, 1)), format="gray")
        frame.pts, frame.time_base = 0, Fraction(1, 10)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with av.open(path) as container:
        frame = next(container.decode(video=0))
        colors = frame.to_ndarray(format="rgb24")[32, :, 0].astype(int)
        grays = frame.to_ndarray(format="gray")[32]
        assert np.abs(colors - grays).max() <= 1
        stored = np.frombuffer(bytes(frame.planes[0]), np.uint8)[:256]
        assert np.array_equal(stored, LEVELS)  # the codec itself lost nothing
        return grays, frame.format.name


(h264, format), (hevc, other), (full, third) = (
    through("libx264"),
    through("libx265"),
    through("libx264", full=True),
)
listed = [" ".join(str(line[level]) for level in SHOWN) for line in (LEVELS, h264, hevc, full)]
print(
    f"{listed[0]} by libx264 ({format}): {listed[1]}; by libx265 ({other}): {listed[2]}; "
    f"by libx264 of full range ({third}): {listed[3]}"
)
for right in (hevc, full, through("ffv1")[0]):
    assert np.array_equal(right, LEVELS)
stretched = ((LEVELS.astype(float) - 16) * 255 / 219).clip(0, 255)
assert np.abs(h264 - stretched).max() <= 1 and format == "yuv420p"
PY
