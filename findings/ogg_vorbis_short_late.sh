#!/usr/bin/env bash
# FFmpeg decodes a short Ogg Vorbis file late, and with too few or too many samples at its end.
#
# PyAV 18.1.0 (FFmpeg 8.1 in its wheel) and soundfile 0.14.0 (libsndfile). If all audio lies on one page
# of Ogg, which holds some seconds of a plain sound, the first frame has a time of half a block (256
# samples at 16 kHz, 128 at 44.1 kHz) in place of 0, and the end is cut by this wrong clock: the last 256
# samples are missing, or hundreds follow that were never in the source. The samples themselves are right
# and begin with the first one: only times and end are wrong. libsndfile reads exactly what was written, and
# so does FFmpeg if there are more pages. Duration and start time of the stream are right in all cases.
# Output seen: "16000 Hz, samples written / soundfile / PyAV, first time: 8000 / 8000 / 7744, 256;
# 12345 / 12345 / 12672, 256; 88200 / 88200 / 88200, 0; 44100 Hz: 44100 / 44100 / 43972, 128"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check av==18.1.0 soundfile==0.14.0 numpy==2.2.6
"$folder/venv/bin/python" - "$folder" <<'PY'
import sys

import av
import numpy as np
import soundfile


def read(rate, count):
    """Samples that soundfile and PyAV read of a tone, the first time and the largest difference."""
    path = f"{sys.argv[1]}/tone.ogg"
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(count) / rate)
    soundfile.write(path, tone, rate, format="OGG", subtype="VORBIS")
    whole, _ = soundfile.read(path)
    with av.open(path) as container:
        stream = container.streams.audio[0]
        frames = list(container.decode(stream))
        assert stream.start_time == 0 and round(stream.duration * stream.time_base * rate) == count
    decoded = np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames])
    both = min(len(whole), len(decoded))
    difference = np.abs(whole[:both] - decoded[:both]).max()
    assert difference < 1e-5, difference
    return count, len(whole), len(decoded), frames[0].pts


found = [read(16000, n) for n in (8000, 12345, 88200)] + [read(44100, 44100)]
print("written, soundfile, PyAV, first time:", *found)
assert found == [
    (8000, 8000, 7744, 256),
    (12345, 12345, 12672, 256),
    (88200, 88200, 88200, 0),
    (44100, 44100, 43972, 128),
]
PY
