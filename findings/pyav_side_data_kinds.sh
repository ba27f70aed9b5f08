#!/usr/bin/env bash
# PyAV: one kind of side data that it does not know hides all others of a frame.
#
# PyAV 18.1.0 (FFmpeg 8.1 in its wheel). FFmpeg attaches the EXIF data of a JPEG to the frame as side
# data of a kind that PyAV's list lacks. `frame.side_data` then raises a ValueError as a whole, and so
# does asking it for a kind that PyAV knows, such as the display matrix beside it. One would guess that
# an unknown kind is left out. `frame.rotation` still gives the angle, but no mirroring.
# Output seen: "without EXIF [], with EXIF ValueError: 31 is not a valid Type, rotation -90"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check av==18.1.0 numpy==2.2.6
"$folder/venv/bin/python" - <<'PY'
import struct
from fractions import Fraction

import av
import numpy as np


def jpeg():
    codec = av.CodecContext.create("mjpeg", "w")
    codec.width, codec.height, codec.pix_fmt, codec.time_base = 64, 48, "yuvj420p", Fraction(1)
    frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
    frame.pts = 0
    return b"".join(bytes(packet) for packet in (*codec.encode(frame), *codec.encode(None)))


def with_exif(data, orientation):
    entry = struct.pack("<HHIHH", 0x112, 3, 1, orientation, 0)
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 1) + entry + struct.pack("<I", 0)
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:]


def decoded(data):
    codec = av.CodecContext.create("mjpeg", "r")
    return (codec.decode(av.Packet(data)) + codec.decode(None))[0]


def kinds(frame):
    try:
        return str(list(frame.side_data.keys()))
    except ValueError as error:
        return f"ValueError: {error}"


plain, tagged = decoded(jpeg()), decoded(with_exif(jpeg(), 6))
print(f"without EXIF {kinds(plain)}, with EXIF {kinds(tagged)}, rotation {tagged.rotation}")
try:
    tagged.side_data["DISPLAYMATRIX"]
    hidden = False
except ValueError:
    hidden = True
assert kinds(plain) == "[]" and kinds(tagged).startswith("ValueError") and hidden
assert tagged.rotation == -90
PY
