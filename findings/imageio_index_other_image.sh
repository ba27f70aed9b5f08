#!/usr/bin/env bash
# imageio: image k read by its index is another one than image k of the whole video, if times are not k / rate.
#
# imageio 2.38.2 with PyAV 18.1.0. `imread(path, index=k, plugin="pyav")` is meant to return image k of
# `imread(path, plugin="pyav")`. It seeks to the time k / rate and counts on from the key frame before, whose number is
# taken to be its time times the rate: the time of the first image is not subtracted. If images begin at 0.5 s, as after
# a cut without encoding, those read by index are 0.5 s too early, 15 images at 30 a second, although the rate is
# constant. By the documentation, whether the rate is constant is "read from the container format", and mp4 always
# counts as constant: of a video of variable rate, as phones record, images are wrong from its second key frame on.
# There is no warning. `constant_framerate=False` is right, and so are images read from the start.
# Seen: "images 1, 5, 20, 29, 45 by index: from 0 s 1, 5, 20, 29, 45; from 0.5 s 1, 0, 5, 14, 30; of variable rate
# 1, 5, 10, 19, 25; with constant_framerate=False all right"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check imageio==2.38.2 av==18.1.0 numpy==2.4.6
"$folder/venv/bin/python" - "$folder" <<'PY'
import sys
from fractions import Fraction

import av
import imageio.v3 as iio
import numpy as np

RATE, COUNT, GROUP, BASE = 30, 60, 10, 12000
ASKED = [1, 5, 20, 29, 45]


def written(name, times):
    """Images of H.264 in mp4 whose gray level is 4 times their number."""
    path = f"{sys.argv[1]}/{name}.mp4"
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"g": str(GROUP), "bf": "0", "qp": "10"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, BASE)
        for number, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 4 * number, np.uint8), format="rgb24")
            frame.pts, frame.time_base = round(time * BASE), Fraction(1, BASE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def number(image):
    return round(float(image.mean()) / 4)


def read(path, **options):
    """Numbers of the images that are read by their index."""
    whole = [number(image) for image in iio.imread(path, plugin="pyav")]
    assert whole == list(range(COUNT)), whole
    return [number(iio.imread(path, index=index, plugin="pyav", **options)) for index in ASKED]


constant = [number / RATE for number in range(COUNT)]
variable = np.cumsum([0] + [1 / 10 if number % 2 else 1 / 30 for number in range(COUNT - 1)])
start, late, phone = (
    written("start", constant),
    written("late", [time + 0.5 for time in constant]),
    written("variable", variable),
)
found = [read(path) for path in (start, late, phone)]
counted = [read(path, constant_framerate=False) for path in (start, late, phone)]
listed = [", ".join(map(str, numbers)) for numbers in (ASKED, *found)]
right = all(numbers == ASKED for numbers in counted)
print(
    f"images {listed[0]} by index: from 0 s {listed[1]}; from 0.5 s {listed[2]}; of variable rate {listed[3]}; "
    f"with constant_framerate=False {'all right' if right else counted}"
)
assert found[0] == ASKED and right
assert found[1] == [1, *(max(0, index - 15) for index in ASKED[1:])], found[1]
assert found[2] != ASKED and found[2][:2] == ASKED[:2], found[2]
PY
