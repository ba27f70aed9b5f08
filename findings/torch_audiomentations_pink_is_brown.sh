#!/usr/bin/env bash
# torch_audiomentations: the pink noise of AddColoredNoise is brown, and all colors have twice the slope they state.
#
# torch_audiomentations 0.12.0 (torch 2.14.1). By its documentation, `f_decay` is the decay of the power, 1/f**f_decay:
# 0 is white, 1 pink, 2 brown, -1 blue and -2 violet noise. One would guess that pink noise loses 3 dB per octave. The
# amplitudes of the spectrum are divided by f**f_decay and not by its root, so the power decays by 1/f**(2 f_decay):
# pink noise loses 6 dB per octave, as brown noise does, and brown noise 12. By default f_decay is drawn from [-2, 2]:
# slopes of up to 12 dB per octave either way in place of 6. The ratio of signal to noise is as set. Noise of more
# than a second is one second of noise, repeated. `f_decay=0.5` is pink.
# Seen: "dB per octave from 800 to 6400 Hz (by the documentation): white 0.0 (0), pink -5.8 (-3), brown -11.5 (-6),
# blue 5.8 (3), violet 11.6 (6); f_decay 0.5 -2.9; ratio 10.0 dB; second second equal to the first: True"
#
# Installs torch (several GB).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check torch==2.14.1 torchaudio==2.11.1 \
  torch-audiomentations==0.12.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PY'
import math

import torch
from torch_audiomentations import AddColoredNoise

RATE, SECONDS, LOW, OCTAVES, RATIO = 16000, 2, 800, 3, 10.0
COLORS = {"white": 0.0, "pink": 1.0, "brown": 2.0, "blue": -1.0, "violet": -2.0}
torch.manual_seed(0)
AUDIO = 0.1 * torch.randn(32, 1, SECONDS * RATE)


def added(decay):
    """The noise alone."""
    noisy = AddColoredNoise(RATIO, RATIO, decay, decay, p=1.0, output_type="dict")(AUDIO, RATE)
    return (noisy["samples"] - AUDIO)[:, 0].double()


def slope(noise):
    """Decibels per octave: a line through the mean power of bands of an octave."""
    power = torch.fft.rfft(noise[:, :RATE]).abs().square().mean(0)  # one bin per hertz
    edges = [LOW * 2**octave for octave in range(OCTAVES + 1)]
    levels = torch.stack([10 * power[a:b].mean().log10() for a, b in zip(edges, edges[1:])])
    steps = torch.arange(OCTAVES) - (OCTAVES - 1) / 2
    return ((levels * steps).sum() / steps.square().sum()).item()


found = {color: slope(added(decay)) for color, decay in COLORS.items()}
half, noise = slope(added(0.5)), added(1.0)
ratio = (10 * (AUDIO[:, 0].square().mean(1) / noise.square().mean(1)).log10()).mean().item()
again = torch.allclose(noise[:, :RATE], noise[:, RATE:], atol=1e-6)
listed = ", ".join(f"{color} {found[color]:.1f} ({-3 * decay + 0.0:.0f})" for color, decay in COLORS.items())
print(
    f"dB per octave from {LOW} to {LOW * 2**OCTAVES} Hz (by the documentation): {listed}; f_decay 0.5 {half:.1f}; "
    f"ratio {ratio:.1f} dB; second second equal to the first: {again}"
)
octave = 10 * math.log10(2)
for color, decay in COLORS.items():
    assert abs(found[color] + 2 * decay * octave) < 0.7, (color, found[color])
assert abs(half + octave) < 0.4 and abs(ratio - RATIO) < 0.1 and again
PY
