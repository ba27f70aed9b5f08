#!/usr/bin/env bash
# After a seek, FFmpeg's AAC decoder never returns to the samples of a decoding from the start.
#
# PyAV 18.1.0 (FFmpeg 8.1). One would guess that a window of AAC equals the same part of the whole, once the
# first two packets after a seek have passed. It does not if bands are coded as noise (perceptual noise
# substitution), which FFmpeg's own encoder does by default at low bit rates, here at 32 kbit/s for 16 kHz
# mono. The values of such bands are drawn by the decoder, whose generator starts anew when a file is
# opened and not at each packet. So every sample depends on where the decoding began, by up to half of the
# peak, and a cache of whole clips, or windows that overlap, are not equal to windows that are read alone.
# The same seek gives the same samples. Without these bands (aac_pns=0), all samples are equal.
# Output seen: "noise bands: 38 of 38 frames differ, by up to 0.52 of the peak; none: 0 of 38; same seek: 0 of 38"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check av==18.1.0 numpy==2.2.6
"$folder/venv/bin/python" - "$folder" <<'PY'
import sys

import av
import numpy as np

RATE = 16000


def written(path, **options):
    """Six seconds of a tone in noise."""
    noise = np.random.default_rng(0).standard_normal(6 * RATE)
    tone = np.sin(2 * np.pi * 440 * np.arange(6 * RATE) / RATE)
    frame = av.AudioFrame.from_ndarray(
        (0.1 * noise + 0.3 * tone).astype(np.float32)[None], format="fltp", layout="mono"
    )
    frame.sample_rate, frame.pts = RATE, 0
    with av.open(path, "w") as container:
        stream = container.add_stream("aac", rate=RATE, layout="mono", options=options)
        stream.bit_rate = 32000
        container.mux(stream.encode(frame) + stream.encode(None))
    return path


def decoded(path, start=None):
    """Samples of each frame, by time stamp, from the start or from near a time on."""
    with av.open(path) as container:
        stream = container.streams.audio[0]
        if start is not None:
            container.seek(int(start / stream.time_base), stream=stream)
        return {frame.pts: frame.to_ndarray()[0] for frame in container.decode(stream)}


def compared(one, other):
    """How many frames differ, 0.6 s and more after the first common one, and by how much."""
    stamps = sorted(one.keys() & other.keys())[10:]
    gaps = [float(np.abs(one[stamp] - other[stamp]).max()) for stamp in stamps]
    peak = max(float(np.abs(one[stamp]).max()) for stamp in stamps)
    return sum(gap > 0 for gap in gaps), len(gaps), max(gaps) / peak


noisy = written(f"{sys.argv[1]}/noise.m4a")
plain = written(f"{sys.argv[1]}/plain.m4a", aac_pns="0")
differ, frames, gap = compared(decoded(noisy), decoded(noisy, 3))
none, same = compared(decoded(plain), decoded(plain, 3)), compared(decoded(noisy, 3), decoded(noisy, 3))
print(
    f"noise bands: {differ} of {frames} frames differ, by up to {gap:.2f} of the peak; "
    f"none: {none[0]} of {none[1]}; same seek: {same[0]} of {same[1]}"
)
assert differ == frames == 38 and gap > 0.3
assert none[0] == same[0] == 0
PY
