#!/usr/bin/env bash
# Images with a palette in mov or avi are black if a seek comes before the first image is decoded.
#
# PyAV 18.1.0 (FFmpeg 8.1). The container has the palette (in mov also that of 8-bit gray), and FFmpeg's demuxer
# gives it to the decoder as side data of the first packet that it reads, and of no other. One would guess that
# every image of `rawvideo` can be decoded from anywhere, as each is a key frame. If a file is opened and the
# first step is a seek, as for a window of a clip, images have a palette of zeros: they are black, without a warning.
# Seen: "mov: from the start (200, 30, 60), from 1 s (0, 0, 0); avi: (200, 30, 60), (0, 0, 0)"
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

COLOR, BLACK, FPS = (200, 30, 60), (0, 0, 0), 10


def written(path):
    """Write images of one color as indices into a palette."""
    palette = np.zeros((256, 4), np.uint8)
    palette[1] = (255, *COLOR)
    with av.open(path, "w") as container:
        video = container.add_stream("rawvideo", rate=FPS)
        video.width, video.height, video.pix_fmt = 64, 48, "pal8"
        for number in range(2 * FPS):
            indices = np.ones((48, 64), np.uint8)
            frame = av.VideoFrame.from_ndarray((indices, palette), format="pal8")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
    return path


def color(path, start=None):
    """The first pixel of the first image that is decoded, from the start or after a seek."""
    with av.open(path) as container:
        stream = container.streams.video[0]
        if start is not None:
            container.seek(int(start / stream.time_base), stream=stream)
        image = next(container.decode(stream)).to_ndarray(format="rgb24")
    return tuple(map(int, image[0, 0]))


paths = {suffix: written(f"{sys.argv[1]}/palette.{suffix}") for suffix in ("mov", "avi")}
found = {suffix: (color(path), color(path, 1)) for suffix, path in paths.items()}
print(
    f"mov: from the start {found['mov'][0]}, from 1 s {found['mov'][1]}; "
    f"avi: {found['avi'][0]}, {found['avi'][1]}"
)
assert found == dict.fromkeys(("mov", "avi"), (COLOR, BLACK)), found
PY
