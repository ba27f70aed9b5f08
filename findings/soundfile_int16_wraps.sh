#!/usr/bin/env bash
# soundfile: loud Ogg Vorbis and Opus read as int16 wraps around, from full scale to the opposite sign.
#
# soundfile 0.14.0 (libsndfile in its wheel). A lossy decoder overshoots a source that was limited to full scale, as
# loud music is: `read(path)` gives floats of up to 1.1 here. With `dtype="int16"` one would guess that they are
# limited to the range of the integers, since soundfile turns libsndfile's clipping on for each file that it opens,
# and MP3 is limited so. The decoders of Vorbis and Opus convert to integers on their own and do not look at that
# setting: each sample beyond full scale gets the opposite sign, a click of twice full scale, without a warning. A
# reader of floats that limits them is right.
# Seen: "chord limited to 0.99, as int16, samples of the wrong sign (peak of the floats, largest step): VORBIS 10.1%
# (1.09, 2.00), OPUS 10.6% (1.12, 2.00), MPEG_LAYER_III 0.0% (1.03, 0.19)"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check soundfile==0.14.0 numpy==2.4.6
"$folder/venv/bin/python" - "$folder" <<'PY'
import sys

import numpy as np
import soundfile

RATE, LIMIT = 48000, 0.99
TIME = np.arange(2 * RATE) / RATE
CHORD = sum(0.6 * np.sin(2 * np.pi * hertz * TIME) for hertz in (220, 277.2, 329.6, 440))
CHORD = CHORD.clip(-LIMIT, LIMIT)


def read(container, subtype):
    """Share of samples with the wrong sign as int16, the largest step, and the peak of the floats."""
    path = f"{sys.argv[1]}/loud.{subtype}"
    soundfile.write(path, CHORD, RATE, format=container, subtype=subtype)
    floats, _ = soundfile.read(path)
    found, _ = soundfile.read(path, dtype="int16")
    assert len(found) == len(floats) == len(CHORD) and found.dtype == np.int16
    found = found / 32768
    wrong = np.abs(found - floats.clip(-1, 1)) > 1e-4
    assert (np.abs(floats[wrong]) > 0.9999).all() and (found * floats < 0)[wrong].all()
    return wrong.mean(), np.abs(np.diff(found)).max(), np.abs(floats).max()


kinds = ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III")
found = {subtype: read(container, subtype) for container, subtype in kinds}
print(
    f"chord limited to {LIMIT}, as int16, samples of the wrong sign (peak of the floats, largest step):",
    ", ".join(f"{k} {share:.1%} ({peak:.2f}, {step:.2f})" for k, (share, step, peak) in found.items()),
)
assert all(found[name][0] > 0.01 and found[name][1] > 1.9 for name in ("VORBIS", "OPUS"))
share, step, peak = found["MPEG_LAYER_III"]
assert share == 0 and step < 1 and peak > 1
PY
