#!/usr/bin/env bash
# ONNX Runtime's Attention refuses a mask of keys that ONNX allows and PyTorch's exporter writes.
#
# onnx 1.23.2 and onnxruntime 1.32.0, opset 23. By its documentation, `attn_mask` of Attention must be
# broadcastable to (batch, heads, queries, keys). Padding of keys is a mask of (batch, 1, 1, keys), the
# form that `scaled_dot_product_attention` takes and that an export at opset 23 or 24 keeps. onnx's own
# reference evaluator computes it. ONNX Runtime broadcasts over batch and heads, but not over queries: the
# model is written, checked and loaded without complaint, and its first run raises "inconsistent
# q_sequence_length (between attn_mask and Q)". The same mask, expanded to all queries, gives equal values.
# Output seen: "keys' mask: reference evaluator right, ONNX Runtime raises at the first run; expanded over
# the queries: both right"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check onnx==1.23.2 onnxruntime==1.32.0 numpy==2.2.6
"$folder/venv/bin/python" - <<'PY'
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

QUERIES, KEYS, WIDTH = 3, 5, 4
random = np.random.default_rng(0)
q, k, v = (
    random.standard_normal((2, 2, n, WIDTH)).astype(np.float32) for n in (QUERIES, KEYS, KEYS)
)
mask = np.ones((2, 1, 1, KEYS), dtype=bool)
mask[1, ..., 3:] = False


def formula():
    logits = np.where(mask, q @ k.swapaxes(-1, -2) / WIDTH**0.5, -np.inf)
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True) @ v


def run(mask):
    """The outputs of both implementations; the error of ONNX Runtime in place of its output."""
    given = {"q": q, "k": k, "v": v, "mask": mask}
    inputs = [
        helper.make_tensor_value_info(
            name, TensorProto.BOOL if name == "mask" else TensorProto.FLOAT, array.shape
        )
        for name, array in given.items()
    ]
    output = helper.make_tensor_value_info("out", TensorProto.FLOAT, q.shape)
    node = helper.make_node("Attention", list(given), ["out"])
    graph = helper.make_graph([node], "attention", inputs, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=11)
    onnx.checker.check_model(model, full_check=True)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    reference = ReferenceEvaluator(model).run(None, given)[0]
    try:
        return reference, session.run(None, given)[0]
    except Exception as error:
        return reference, error


reference, runtime = run(mask)
assert np.allclose(reference, formula(), atol=1e-5)
assert isinstance(runtime, Exception) and "q_sequence_length" in str(runtime), runtime
expanded = np.broadcast_to(mask, (2, 1, QUERIES, KEYS)).copy()
assert all(np.allclose(found, formula(), atol=1e-5) for found in run(expanded))
print(
    "keys' mask: reference evaluator right, ONNX Runtime raises at the first run; expanded over "
    "the queries: both right"
)
PY
