#!/usr/bin/env bash
# FFmpeg's resampler mixes channels louder for floats than for integers: by 3 dB for stereo, 10.7 for 5.1.
#
# PyAV 18.1.0 (FFmpeg 8.1 in its wheel). All channels hear one tone of peak 0.5, so a mix to mono that
# cannot clip is that tone. `AudioResampler(format="s16", layout="mono")` gives it. With "flt" or "fltp"
# the peak is 0.707 for stereo and 1.707 for 5.1, which is over full scale. The format of the input has no
# effect. One would guess that the format sets the numbers' type and scale, not the level: FFmpeg
# normalizes the mixing matrix for integers alone. Audio of the same recording is thus 3 dB louder where a
# stereo copy is read than where a mono copy is. The mean of the channels of `layout="stereo"` is right.
# Output seen: "stereo: s16 0.500, flt 0.707, mean 0.500; 5.1: s16 0.500, flt 1.707"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check av==18.1.0 numpy==2.2.6
"$folder/venv/bin/python" - <<'PY'
import av
import numpy as np

RATE, PEAK = 48000, 0.5
TONE = PEAK * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)


def recording(layout, format):
    """The tone on all channels."""
    samples = TONE if format == "fltp" else np.round(TONE * 32768)
    planes = np.tile(samples, (av.AudioLayout(layout).nb_channels, 1))
    dtype = np.float32 if format == "fltp" else np.int16
    frame = av.AudioFrame.from_ndarray(planes.astype(dtype), format=format, layout=layout)
    frame.sample_rate, frame.pts = RATE, 0
    return frame


def mixed(frame, format, layout="mono", rate=16000):
    resampler = av.AudioResampler(format=format, layout=layout, rate=rate)
    parts = [part.to_ndarray() for part in (*resampler.resample(frame), *resampler.resample(None))]
    samples = np.concatenate(parts, axis=1)
    return samples / 32768 if samples.dtype.kind == "i" else samples


def peak(samples):
    """Largest value, away from the ends, where the filter settles."""
    return round(float(np.abs(samples[..., 1000:-1000]).max()), 3)


found = {}
for layout in ("stereo", "5.1"):
    for given in ("s16p", "fltp"):
        for format in ("s16", "s16p", "flt", "fltp"):
            found[layout, given, format] = peak(mixed(recording(layout, given), format))
mean = peak(mixed(recording("stereo", "s16p"), "fltp", layout="stereo").mean(axis=0))
print(
    f"stereo: s16 {found['stereo', 's16p', 's16']:.3f}, flt {found['stereo', 's16p', 'flt']:.3f}, "
    f"mean {mean:.3f}; 5.1: s16 {found['5.1', 's16p', 's16']:.3f}, flt {found['5.1', 's16p', 'flt']:.3f}"
)
for (layout, _, format), value in found.items():
    wanted = PEAK if format.startswith("s16") else {"stereo": 0.707, "5.1": 1.707}[layout]
    assert abs(value - wanted) < 0.002, (layout, format, value)
assert abs(mean - PEAK) < 0.002
PY
