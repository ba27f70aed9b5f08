#!/usr/bin/env bash
# Attention whose keys are all masked reads zeros in PyTorch, and their mean after an export to ONNX.
#
# torch 2.14.1 (onnxscript 0.7.2, onnxruntime 1.32.0), exporter of `dynamo=True`, opset 18. A sample without
# any valid key, such as a clip without audio, gets a boolean mask that is False everywhere.
# `scaled_dot_product_attention` returns zeros for it, and so does the program of `torch.export`. The ONNX
# model returns the mean of all values: the padding, which the mask was there to hide. The graph looks safe,
# since it replaces NaN by zero after the softmax. But the masked logits are not -inf there: they are the
# lowest finite float, whose softmax is uniform and not NaN. Samples with one valid key agree.
# Output seen: "a sample with valid keys: equal; a sample without: zeros in torch and torch.export, the mean
# of the masked values in ONNX Runtime (IsNaN in the graph: True)"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check torch==2.14.1 onnxscript==0.7.2 \
  onnxruntime==1.32.0 numpy==2.2.6
cd "$folder"
"$folder/venv/bin/python" - <<'PY'
import logging
import warnings

import onnxruntime
import torch
from torch.nn.functional import scaled_dot_product_attention
from torch.testing import assert_close

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)


class Attention(torch.nn.Module):
    def forward(self, q, k, v, mask):
        return scaled_dot_product_attention(q, k, v, attn_mask=mask)


torch.manual_seed(0)
q, k, v = (torch.randn(2, 1, n, 8) for n in (3, 4, 4))
mask = torch.ones(2, 1, 1, 4, dtype=torch.bool)
mask[0, ..., 2:] = False
mask[1] = False
given = (q, k, v, mask)
eager = Attention()(*given)
program = torch.export.export(Attention(), given)
assert_close(program.module()(*given), eager)

written = torch.onnx.export(Attention(), given, dynamo=True, opset_version=18, verbose=False)
written.save("attention.onnx")
session = onnxruntime.InferenceSession("attention.onnx")
names = [one.name for one in session.get_inputs()]
found = session.run(None, dict(zip(names, (x.numpy() for x in given), strict=True)))[0]
found = torch.from_numpy(found)

assert_close(found[0], eager[0])
assert eager[1].abs().max() == 0
assert_close(found[1], v[1].mean(dim=1, keepdim=True).expand(1, 3, 8))
guarded = "IsNaN" in {node.op_type for node in written.model.graph}
assert guarded
print(
    "a sample with valid keys: equal; a sample without: zeros in torch and torch.export, the mean "
    f"of the masked values in ONNX Runtime (IsNaN in the graph: {guarded})"
)
PY
