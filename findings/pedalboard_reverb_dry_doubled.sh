#!/usr/bin/env bash
# pedalboard: Reverb doubles what its `dry_level` says; a reverb of only the dry audio is 6 dB louder than the audio.
#
# pedalboard 0.9.26. `Reverb(wet_level=0, dry_level=1)` adds nothing, so one would guess that it returns its input, as
# `Delay(mix=0)`, `Chorus(mix=0)` and `Phaser(mix=0)` do. It returns twice the input: the reverb of JUCE that it wraps
# multiplies the dry level by 2. Peaks above 0.5 are then beyond full scale, where writing to a file clips them. Audio
# augmented with `dry_level=1` is 6 dB louder than audio that is not, without any reverberation, which a model can use.
# `dry_level=0.5` returns the input.
# Seen: "gain in dB of dry_level 0.25 -6.0, 0.5 0.0, 1.0 6.0; of mix=0 in Delay 0.0, Chorus 0.0, Phaser 0.0; peak of 0.8
# with dry_level 1.0: 1.60, in a 16-bit file 1.00"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check pedalboard==0.9.26 numpy==2.4.6
"$folder/venv/bin/python" - "$folder" <<'PY'
import sys

import numpy as np
from pedalboard import Chorus, Delay, Phaser, Reverb
from pedalboard.io import AudioFile

RATE, PEAK = 44100, 0.8
TONE = (PEAK * np.sin(2 * np.pi * 440 * np.arange(2 * RATE) / RATE)).astype(np.float32)


def output(effect):
    """The second half, where the smoothing of the levels has ended."""
    return effect(TONE, RATE)[RATE:]


def gain(effect):
    return 20 * np.log10(np.std(output(effect)) / np.std(TONE[RATE:]))


levels = {level: gain(Reverb(wet_level=0, dry_level=level)) for level in (0.25, 0.5, 1.0)}
others = {effect.__name__: gain(effect(mix=0)) for effect in (Delay, Chorus, Phaser)}
loud = output(Reverb(wet_level=0, dry_level=1))
path = f"{sys.argv[1]}/loud.wav"
with AudioFile(path, "w", RATE, 1, bit_depth=16) as file:
    file.write(loud)
with AudioFile(path) as file:
    written = file.read(file.frames)
peak, clipped = (float(np.abs(samples).max()) for samples in (loud, written))


def listed(gains):
    return ", ".join(f"{name} {round(value, 1) + 0.0:.1f}" for name, value in gains.items())


print(
    f"gain in dB of dry_level {listed(levels)}; of mix=0 in {listed(others)}; "
    f"peak of {PEAK} with dry_level 1.0: {peak:.2f}, in a 16-bit file {clipped:.2f}"
)
assert all(abs(value) < 0.05 for value in others.values())
assert all(abs(value - 20 * np.log10(2 * level)) < 0.05 for level, value in levels.items())
assert abs(peak - 2 * PEAK) < 0.01 and clipped < 1.001
PY
