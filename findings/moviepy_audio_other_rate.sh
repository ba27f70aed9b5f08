#!/usr/bin/env bash
# moviepy: audio at a lower rate is one constant value, and is never filtered.
#
# moviepy 2.2.1 (2.1.2 by its `__version__`). `clip.to_soundarray(fps=16000)` is the usual way to the 16 kHz
# of audio models. The reader, which decodes at 44.1 kHz unless told otherwise, splits requests of over half
# of its buffer (2.27 s; half of a shorter file) and reads each part again, but with the mask of valid times in
# place of the times: True is 1 s. So every sample is the sample at 1 s, with no warning. Requests are of 50000
# samples, which is short enough at 44.1 kHz, and too long at 16 kHz and below for files of 2 s and more.
# `write_audiofile(path, fps=16000)` has smaller chunks and is right in this, but both take the nearest samples
# without a low-pass filter: 10 kHz becomes 6 kHz at nearly full level. One would guess that `fps` resamples. With
# `AudioFileClip(path, fps=16000).write_audiofile(new)` FFmpeg does so, which filters.
# Output seen: "3 s of 440 Hz by to_soundarray: 1 distinct value at 16000 Hz, error 0.0000 at 44100 Hz; 10 kHz
# of level 0.50 by write_audiofile at 16000 Hz: 6000 Hz of level 0.46, by AudioFileClip(fps=16000) 0.00"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check moviepy==2.2.1 numpy==2.2.6 imageio-ffmpeg==0.6.0
"$folder/venv/bin/python" - "$folder" <<'PY'
import sys
import wave

import numpy as np
from moviepy import AudioFileClip

SECONDS, LEVEL, LOW, HIGH = 3, 0.5, 16000, 44100


def tone(hertz, rate):
    return LEVEL * np.sin(2 * np.pi * hertz * np.arange(SECONDS * rate) / rate)


def written(hertz):
    """A stereo file of 44.1 kHz with one tone."""
    path = f"{sys.argv[1]}/{hertz}.wav"
    samples = np.round(tone(hertz, HIGH) * 32767).astype("<i2")
    with wave.open(path, "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(HIGH)
        file.writeframes(np.repeat(samples, 2).tobytes())
    return path


def rewritten(path, **options):
    """Left channel of the audio that moviepy writes at the low rate."""
    new = f"{path}.low.wav"
    with AudioFileClip(path, **options) as clip:
        clip.write_audiofile(new, fps=LOW, logger=None)
    with wave.open(new) as file:
        assert file.getframerate() == LOW
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    return samples.reshape(-1, 2)[:, 0] / 32768


def strongest(samples):
    """Frequency and level of the strongest tone, away from the ends."""
    middle = samples[LOW // 2 : LOW // 2 + 2 * LOW]
    spectrum = np.abs(np.fft.rfft(middle)) / LOW
    return spectrum.argmax() / 2, spectrum.max()


def array(path, fps, **options):
    with AudioFileClip(path) as clip:
        return clip.to_soundarray(fps=fps, **options)[:, 0]


low, high = written(440), written(10000)
constant, right = array(low, LOW), array(low, HIGH)
short = array(low, LOW, buffersize=10000)
error = np.abs(right - tone(440, HIGH)).max()
(hertz, level), (_, rest) = strongest(rewritten(high)), strongest(rewritten(high, fps=LOW))
print(
    f"{SECONDS} s of 440 Hz by to_soundarray: {len(np.unique(constant))} distinct value at {LOW} Hz, "
    f"error {error:.4f} at {HIGH} Hz; 10 kHz of level {LEVEL:.2f} by write_audiofile at {LOW} Hz: "
    f"{hertz:.0f} Hz of level {level:.2f}, by AudioFileClip(fps={LOW}) {rest:.2f}"
)
assert constant.shape == short.shape == (SECONDS * LOW,)
assert len(np.unique(constant)) == 1 and constant[0] == right[HIGH]
assert error < 1e-4 and np.abs(short - tone(440, LOW)).max() < 0.02
assert hertz == 6000 and level > 0.45 and rest < 0.01
PY
