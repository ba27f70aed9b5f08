#!/usr/bin/env bash
# FFmpeg's muxers of mp4 and mov forget how long the last image is held if there are B-frames.
#
# PyAV 18.1.0 (FFmpeg 8.1). 39 images, 0.05 s apart, the last of which is held until 5 s: its packet says
# so by its duration. Mp4 stores the time from one packet to the next in decoding order, and the duration
# of the packet that is decoded last alone. With B-frames that is another image: the track lasts 1.95 s,
# and the held image 0.05 s. One would guess 5 s, as without B-frames, or as in mkv with them.
# Output seen: "mp4 5.0 s, with B-frames 1.95 s; mkv 5.0 s, with B-frames 5.0 s"
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

END = 5  # seconds


def written(path, b_frames):
    options = {"bf": str(b_frames), "x264-params": "b-adapt=0:keyint=15:scenecut=0"}
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=20, options=options)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        packets = []
        for number in range(39):
            image = np.full((48, 64, 3), 6 * number, np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = 50 * number, Fraction(1, 1000)
            packets += stream.encode(frame)
        packets += stream.encode(None)
        last = max(packets, key=lambda packet: packet.pts)
        last.duration = round(END / last.time_base) - last.pts
        container.mux(packets)
    return path


def ends(path):
    """When the image that is shown last ends, by the file."""
    with av.open(path) as container:
        frames = list(container.decode(video=0))
    last = max(frames, key=lambda frame: frame.time)
    return round(last.time + float(last.duration * last.time_base), 3)


found = {
    (kind, bs): ends(written(f"{sys.argv[1]}/{bs}.{kind}", bs))
    for kind in ("mp4", "mkv")
    for bs in (0, 3)
}
print(
    f"mp4 {found['mp4', 0]} s, with B-frames {found['mp4', 3]} s; "
    f"mkv {found['mkv', 0]} s, with B-frames {found['mkv', 3]} s"
)
assert [found[key] for key in (("mp4", 0), ("mkv", 0), ("mkv", 3))] == [END] * 3
assert found["mp4", 3] == 1.95
PY
