#!/usr/bin/env bash
# Audio of Matroska that begins after 5 seconds is reported to begin at 0, and to be as long as the file.
#
# PyAV 18.1.0 (FFmpeg 8.1). One would guess that `stream.start_time` is the time of the first packet, as in mp4,
# or None. FFmpeg looks at the first 5 seconds of a file; Matroska stores no times of a stream. Audio that begins
# within them has its `start_time`, and no `duration`. Audio that begins later has the start and the duration of
# the whole file, so that a window of its first seconds seems to have been lost by the decoder.
# Seen: "audio from 2 s: start 2.0, duration None; from 7 s: start 0.0, duration 11.0; first packets at 2.0 and 7.0"
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

RATE, FPS, IMAGES, AUDIO = 16000, 10, 10, 4  # seconds of images from 0 on, and of audio


def written(path, late):
    """Write images, and audio that begins `late` seconds after them."""
    with av.open(path, "w") as container:
        video = container.add_stream("mpeg4", rate=FPS)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio = container.add_stream("pcm_s16le", rate=RATE, layout="mono")
        packets = []
        for number in range(IMAGES * FPS):
            frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            packets += video.encode(frame)
        for block in range(AUDIO * FPS):
            samples = np.full((1, RATE // FPS), 1000, np.int16)
            frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            frame.sample_rate, frame.time_base = RATE, Fraction(1, RATE)
            frame.pts = late * RATE + block * samples.size
            packets += audio.encode(frame)
        packets += [*video.encode(None), *audio.encode(None)]
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            container.mux(packet)
    return path


def times(path):
    """The start and the duration of the audio as stated, and the time of its first packet."""
    with av.open(path) as container:
        stream = container.streams.audio[0]
        base, start, length = stream.time_base, stream.start_time, stream.duration
        first = next(p.pts for p in container.demux(stream) if p.pts is not None)
    seconds = [None if x is None else round(float(x * base), 1) for x in (start, length, first)]
    return tuple(seconds)


early, late = (times(written(f"{sys.argv[1]}/{n}.mkv", n)) for n in (2, 7))
print(
    f"audio from 2 s: start {early[0]}, duration {early[1]}; from 7 s: start {late[0]}, duration "
    f"{late[1]}; first packets at {early[2]} and {late[2]}"
)
assert early == (2.0, None, 2.0) and late == (0.0, 11.0, 7.0), (early, late)
PY
