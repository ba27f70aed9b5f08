#!/usr/bin/env bash
# transformers: the amplitude of a clip in Wav2Vec2's features depends on the longest clip of its batch.
#
# transformers 5.24.0. `Wav2Vec2FeatureExtractor` normalizes each clip to zero mean and unit variance. It pads first,
# and excludes the padding from the statistics only if it returns an attention mask. By default, and in the settings
# of facebook/wav2vec2-base, it does not: for such models, the documentation says, "`input_values` should simply be
# padded with 0". One would guess that a padded clip has the values of the clip alone, and zeros after them. The mean
# and the variance are those of the clip and its padding: a clip of a quarter of the longest gets twice its amplitude,
# and padding is not 0 if the clip has an offset. There is no warning. A batch of one clip is right, and so is
# `return_attention_mask=True`; the mask need not be passed to the model.
# Seen: "standard deviation of 2 s alone 1.00, beside 2, 4, 8, 32 s: 1.00, 1.41, 2.00, 4.00; with a mask 1.00, 1.00,
# 1.00, 1.00; padding beside 8 s of a clip with offset: -0.38, with a mask 0.00"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check transformers==5.24.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PY'
import numpy as np
from transformers import Wav2Vec2FeatureExtractor

RATE, SECONDS = 16000, 2
generator = np.random.default_rng(0)
NOISE = generator.standard_normal(32 * RATE).astype(np.float32)
CLIP = 0.1 * NOISE[: SECONDS * RATE]


def features(clip, seconds, mask):
    """Values of a clip and of its padding, beside a clip of some seconds."""
    extract = Wav2Vec2FeatureExtractor(return_attention_mask=mask)
    batch = [clip] if seconds is None else [clip, NOISE[: seconds * RATE]]
    values = extract(batch, sampling_rate=RATE, padding=True, return_tensors="np")["input_values"][0]
    return values[: len(clip)], values[len(clip) :]


LENGTHS = 2, 4, 8, 32
alone = features(CLIP, None, False)[0].std()
plain, masked = ([features(CLIP, seconds, mask)[0].std() for seconds in LENGTHS] for mask in (False, True))
padding, zeros = (features(CLIP + 0.1, 8, mask)[1] for mask in (False, True))
assert np.ptp(padding) == 0 and (zeros == 0).all()
print(
    f"standard deviation of {SECONDS} s alone {alone:.2f}, beside {', '.join(map(str, LENGTHS))} s: "
    + ", ".join(f"{value:.2f}" for value in plain)
    + "; with a mask "
    + ", ".join(f"{value:.2f}" for value in masked)
    + f"; padding beside 8 s of a clip with offset: {padding[0]:.2f}, with a mask {zeros[0]:.2f}"
)
assert abs(alone - 1) < 0.01 and all(abs(value - 1) < 0.01 for value in masked)
for value, seconds in zip(plain, LENGTHS):
    assert abs(value - (seconds / SECONDS) ** 0.5) < 0.05, (seconds, value)
assert padding[0] < -0.3
PY
