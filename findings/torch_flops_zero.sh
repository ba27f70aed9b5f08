#!/usr/bin/env bash
# torch's FLOP counter counts attention as 0 on a CPU, and a whole transformer layer as 0 without gradients.
#
# torch 2.14.1. `torch.utils.flop_counter.FlopCounterMode` looks up a formula for each operator. It has formulas
# for the attention kernels of a GPU, and none for the one that `scaled_dot_product_attention` takes on a CPU.
# `nn.MultiheadAttention` and `nn.TransformerEncoderLayer` run as one fused operator in evaluation without
# gradients, which has none either. An operator without a formula adds 0, and nothing says so. One would guess that
# the counts of the same layer are equal with and without gradients, in training and evaluation, as its matrix
# products are. Without a warning, a ViT is too cheap by all its attention, more so with more tokens. With the backend
# `MATH`, and `torch.backends.mha.set_fastpath_enabled(False)`, all products are counted.
# Seen: "layer of 1361920 FLOPs: training 1361920, evaluation 1310720, without gradients 0, with MATH and without
# the fused operator 1361920; attention alone of 51200: 0, with MATH 51200"
#
# Installs torch (several GB).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check torch==2.14.1 numpy==2.4.6
"$folder/venv/bin/python" - <<'PY'
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention
from torch.utils.flop_counter import FlopCounterMode

BATCH, TOKENS, WIDTH, HEADS, HIDDEN = 2, 10, 64, 4, 128
# Two for a multiplication and an addition: query, key, value and output projections and two layers of the
# MLP of each token; the products of queries with keys and of weights with values.
ATTENTION = 2 * 2 * BATCH * TOKENS**2 * WIDTH
LAYER = 2 * BATCH * TOKENS * (4 * WIDTH**2 + 2 * WIDTH * HIDDEN) + ATTENTION


def count(function, *inputs):
    with FlopCounterMode(display=False) as counter:
        function(*inputs)
    return counter.get_total_flops()


layer = torch.nn.TransformerEncoderLayer(WIDTH, HEADS, HIDDEN, batch_first=True)
x = torch.randn(BATCH, TOKENS, WIDTH)
q = torch.randn(BATCH, HEADS, TOKENS, WIDTH // HEADS)
training = count(layer, x)
layer.eval()
evaluation = count(layer, x)
alone = count(scaled_dot_product_attention, q, q, q)
with torch.no_grad():
    frozen = count(layer, x)
    torch.backends.mha.set_fastpath_enabled(False)
    with sdpa_kernel(SDPBackend.MATH):
        plain = count(layer, x)
        alone_plain = count(scaled_dot_product_attention, q, q, q)
print(
    f"layer of {LAYER} FLOPs: training {training}, evaluation {evaluation}, without gradients {frozen}, "
    f"with MATH and without the fused operator {plain}; attention alone of {ATTENTION}: {alone}, "
    f"with MATH {alone_plain}"
)
assert training == plain == LAYER and alone_plain == ATTENTION
assert evaluation == LAYER - ATTENTION
assert frozen == 0 and alone == 0
PY
