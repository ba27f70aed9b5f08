#!/usr/bin/env bash
# torchaudio's loudness of loud audio is too low: its filters clip what they boost, without a word.
#
# torchaudio 2.11.1 (torch 2.14.1). `torchaudio.functional.loudness` weighs frequencies as ITU-R BS.1770 says,
# which boosts those above 1.5 kHz by up to 4 dB. It uses `treble_biquad` and `highpass_biquad`, and all
# `..._biquad` functions limit their output to [-1, 1], as does `deemphasis`: `lfilter` does so by default,
# and they neither have its argument `clamp` nor mention it. One would guess that half the amplitude is
# 6.0 dB less at any level. For a tone of 4 kHz it is so from a peak of 0.5 down; at 0.7 the result is 0.3 dB
# too low, at full scale 2.4 dB, and at twice that 7.7 dB. Audio normalized by this loudness is too loud.
# Seen: "4 kHz, dB below the definition: peak 0.1 0.0, 0.5 0.0, 0.7 0.3, 1.0 2.4, 2.0 7.7"
#
# Installs torch (several GB).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check torch==2.14.1 torchaudio==2.11.1 numpy==2.4.6
"$folder/venv/bin/python" - <<'PY'
import numpy as np
import torch
from torchaudio.functional import loudness

RATE, HERTZ = 48000, 4000
# Coefficients of the two filters at 48 kHz, tables 1 and 2 of ITU-R BS.1770-4: b0, b1, b2, a1, a2.
SHELF = 1.53512485958697, -2.69169618940638, 1.19839281085285, -1.69065929318241, 0.73248077421585
HIGH_PASS = 1.0, -2.0, 1.0, -1.99004745483398, 0.99007225036621
TONE = torch.sin(2 * torch.pi * HERTZ * torch.arange(5 * RATE, dtype=torch.float64) / RATE).float()


def measured(samples):
    return loudness(samples[None], RATE).item()


def defined(peak):
    """Loudness of the tone in mono, from the filters' responses."""
    z = np.exp(-2j * np.pi * HERTZ / RATE)
    gains = [
        abs((b0 + b1 * z + b2 * z**2) / (1 + a1 * z + a2 * z**2))
        for b0, b1, b2, a1, a2 in (SHELF, HIGH_PASS)
    ]
    return -0.691 + 10 * np.log10((peak * gains[0] * gains[1]) ** 2 / 2)


lost = {peak: defined(peak) - measured(peak * TONE) for peak in (0.1, 0.5, 0.7, 1.0, 2.0)}
listed = ", ".join(f"{peak} {gap:.1f}" for peak, gap in lost.items())
print(f"{HERTZ // 1000} kHz, dB below the definition: peak {listed}")
assert abs(lost[0.1]) < 0.1 and abs(lost[0.5]) < 0.1
assert lost[0.7] > 0.2 and lost[1.0] > 2 and lost[2.0] > 7
PY
