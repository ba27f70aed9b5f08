#!/usr/bin/env bash
# On a CPU, the backward pass of attention is slower in half precision than in float32, though not the forward.
#
# torch 2.14.1, `scaled_dot_product_attention`, x86 with AVX2 or AVX-512. One would guess that bfloat16, with
# half the memory traffic and, on recent CPUs, instructions of its own, is at least as fast as float32: large
# matrix products are twice as fast there, and the fused kernel's forward pass takes as long. Its backward
# pass takes three to five times as long for heads of 16 or 32, and seven times in float16. Mixed precision
# may therefore make the training of a small transformer on a CPU slower, although its inference becomes
# faster. Casting queries, keys and values to float32 and the result back costs less than it saves.
# Output seen (one thread, milliseconds, forward and backward): "float32 2.1 5.5, bfloat16 2.5 19.4, float16 6.5
# 29.8, bfloat16 through float32: 4.2 backward"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check torch==2.14.1 numpy==2.2.6
"$folder/venv/bin/python" - <<'PY'
import time

import torch
from torch.nn.functional import scaled_dot_product_attention as attention

torch.set_num_threads(1)


def milliseconds(call):
    """The least CPU time of some calls, after one to warm up."""
    taken = []
    for _ in range(15):
        start = time.process_time()
        call()
        taken.append(time.process_time() - start)
    return 1e3 * min(taken[1:])


def passes(dtype, through=None):
    """Time of the forward pass and of the backward pass."""
    shape = (8, 4, 144, 32)
    given = [torch.randn(shape, dtype=dtype, requires_grad=True) for _ in range(3)]
    wide = given if through is None else [x.to(through) for x in given]
    out = attention(*wide).to(dtype)
    weight = torch.randn_like(out)
    with torch.no_grad():
        forward = milliseconds(lambda: attention(*wide).to(dtype))
    return forward, milliseconds(lambda: out.backward(weight, retain_graph=True))


single, brain, half = map(passes, (torch.float32, torch.bfloat16, torch.float16))
mended = passes(torch.bfloat16, through=torch.float32)
print(
    f"float32 {single[0]:.1f} {single[1]:.1f}, bfloat16 {brain[0]:.1f} {brain[1]:.1f}, float16 "
    f"{half[0]:.1f} {half[1]:.1f}, bfloat16 through float32: {mended[1]:.1f} backward"
)
assert brain[0] < 2 * single[0]
assert brain[1] > 1.5 * single[1] and half[1] > 3 * single[1]
assert mended[1] < brain[1] / 1.5
PY
