#!/usr/bin/env bash
# Seeking backward in mp4 with open groups of pictures can lead to after the time asked for.
#
# PyAV 18.1.0 (FFmpeg 8.1 in its wheel). In an open group, which x265 writes by default, some B-frames are
# shown before the key frame but stored after it, since they depend on it and on the group before. For
# their times, `container.seek(time, backward=True)` in mp4 goes to that key frame, by the order of
# storing. The decoder drops the B-frames, as it lacks what they depend on, so the usual loop "seek, then
# decode until the time is reached" returns the key frame: a later image, with no error. One would guess
# that a backward seek ends before the time, as documented. It does in mkv, with the very same packets.
# Output seen: "mp4: wrong images for 17, 18, 19, 37, 38, 39: 20, 20, 20, 40, 40, 40; mkv: none"
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

FRAMES, STEP = 50, 5  # the gray of an image is its number times the step


def written(path):
    options = {"x265-params": "keyint=20:min-keyint=20:scenecut=0:bframes=3:b-adapt=0:log-level=none"}
    with av.open(path, "w") as container:
        stream = container.add_stream("libx265", rate=20, options=options)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for number in range(FRAMES):
            image = np.full((64, 64, 3), STEP * number, np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 20)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def copied(source, path):
    """The same packets in another container."""
    with av.open(source) as old, av.open(path, "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                new.mux(packet)
    return path


def number(frame):
    return round(float(frame.to_ndarray(format="rgb24").mean()) / STEP)


def wrong(path):
    """Numbers of images that are asked for by their time, and of those that come, if they differ."""
    with av.open(path) as container:
        times = {number(frame): frame.pts for frame in container.decode(video=0)}
    assert sorted(times) == list(range(FRAMES))
    found = {}
    for asked, time in times.items():
        with av.open(path) as container:
            stream = container.streams.video[0]
            container.seek(time, stream=stream, backward=True)
            found[asked] = number(next(f for f in container.decode(stream) if f.pts >= time))
    return {asked: came for asked, came in sorted(found.items()) if came != asked}


mp4 = written(f"{sys.argv[1]}/a.mp4")
errors, others = wrong(mp4), wrong(copied(mp4, f"{sys.argv[1]}/a.mkv"))
listed = [", ".join(map(str, numbers)) for numbers in (errors, errors.values())]
print(f"mp4: wrong images for {listed[0]}: {listed[1]}; mkv: {others or 'none'}")
assert errors and all(came > asked for asked, came in errors.items())
assert not others
PY
