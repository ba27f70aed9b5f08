#!/usr/bin/env bash
# ONNX's MelWeightMatrix places its filters too low: the top one ends well below `upper_edge_hertz`.
#
# onnx 1.23.2 and onnxruntime 1.32.0, whose matrices are equal. By its documentation, the operator covers
# [lower_edge_hertz, upper_edge_hertz] on the scale mel(f) = 2595 log10(1 + f / 700), and the upper edge is
# the top edge of the highest band. One would guess the filters of torchaudio and librosa (HTK's scale):
# N triangles have N + 2 corners, so a step of range / (N + 1). The operator's step is range / (N + 2), and
# it rounds the corners down to whole bins. With 64 filters from 0 to 8000 Hz at 16 kHz, the error grows to
# 320 Hz at the last filter, and all above 7680 Hz is dropped. Nothing warns: a model that was trained with
# the usual filters merely gets another spectrogram once its front end is in ONNX.
# Output seen: "top band ends at 7680 Hz for an upper edge of 8000 Hz; last filter: peak at 7360 Hz, by the
# definition 7680 Hz; weight of 7.8 kHz: 0.00, by the definition 0.60"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check onnx==1.23.2 onnxruntime==1.32.0 numpy==2.2.6
"$folder/venv/bin/python" - <<'PY'
import numpy as np
import onnxruntime
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

FILTERS, LENGTH, RATE, TOP = 64, 400, 16000, 8000.0
HERTZ = np.arange(LENGTH // 2 + 1) * RATE / LENGTH
VALUES = {
    "num_mel_bins": np.int64(FILTERS),
    "dft_length": np.int64(LENGTH),
    "sample_rate": np.int64(RATE),
    "lower_edge_hertz": np.float32(0),
    "upper_edge_hertz": np.float32(TOP),
}


def operator():
    """The matrix (bins, filters) by both implementations."""
    kinds = {"int64": TensorProto.INT64, "float32": TensorProto.FLOAT}
    inputs = [
        helper.make_tensor_value_info(name, kinds[value.dtype.name], [])
        for name, value in VALUES.items()
    ]
    output = helper.make_tensor_value_info("matrix", TensorProto.FLOAT, [None, None])
    node = helper.make_node("MelWeightMatrix", list(VALUES), ["matrix"])
    graph = helper.make_graph([node], "mel", inputs, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    given = {name: np.asarray(value) for name, value in VALUES.items()}
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(None, given)[0], ReferenceEvaluator(model).run(None, given)[0]


def triangles():
    """The filters by their definition (HTK's mel scale, peaks of 1)."""
    mel = np.linspace(0, 2595 * np.log10(1 + TOP / 700), FILTERS + 2)
    low, peak, high = (700 * (10 ** (mel[i : FILTERS + i] / 2595) - 1) for i in range(3))
    at = HERTZ[:, None]
    return np.minimum((at - low) / (peak - low), (high - at) / (high - peak)).clip(0)


(found, reference), wanted = operator(), triangles()
assert np.array_equal(found, reference)
ends, whole = (HERTZ[(m > 1e-6).any(axis=1)].max() + RATE / LENGTH for m in (found, wanted))
peaks = [HERTZ[matrix[:, -1].argmax()] for matrix in (found, wanted)]
tone = int(7800 * LENGTH / RATE)
print(
    f"top band ends at {ends:.0f} Hz for an upper edge of {TOP:.0f} Hz; last filter: peak at "
    f"{peaks[0]:.0f} Hz, by the definition {peaks[1]:.0f} Hz; weight of 7.8 kHz: "
    f"{found[tone].sum():.2f}, by the definition {wanted[tone].sum():.2f}"
)
assert whole == TOP and ends == TOP - 320 and peaks[1] - peaks[0] == 320
assert found[tone].sum() == 0 and wanted[tone].sum() > 0.4
PY
