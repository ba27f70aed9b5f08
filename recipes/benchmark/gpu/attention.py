"""Attention kernels: which one torch selects at the shapes of the model, and the time of each."""

import re
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.profiler import ProfilerActivity, profile

from recipes.benchmark.measure import guarded, short, timed

_KERNEL = re.compile(r"aten::_scaled_dot_product_(?:attention_)?(\w+?)(?:_attention)?(?:_for_cpu)?")
_BACKENDS = {
    "flash": SDPBackend.FLASH_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
    "math": SDPBackend.MATH,
}
_REPEATS = 10


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Sizes of one attention."""

    batch: int = 256
    heads: int = 12
    queries: int
    keys: int
    width: int = 64  # width of a query or key head
    values: int = 64  # width of a value head
    shared: bool = False  # whether all samples have the same queries, expanded


SHAPES = {
    "factorized's pairs, values 4x as wide": Shape(queries=16, keys=8, width=16),
    "dense fusion, heads 16 wide": Shape(queries=32, keys=49, width=16, values=16),
    "pooling, expanded queries": Shape(queries=1, keys=196, shared=True),
    "encoder, image block": Shape(queries=49, keys=81),
    "decoder, image block": Shape(heads=16, queries=228, keys=228, width=32, values=32),
}
"""At the paper's sizes, 75% of the image masked."""


def kernels(device: str, tiny: bool) -> dict[str, Any]:
    """Time forward and backward pass of all shapes in bfloat16, kernel by kernel.

    Returns:
        For each shape, `chosen`: the kernel that torch selects; `ms`: the time of each kernel, or
        the reason why it is not supported; and if widths differ, `padded`: kernel and time with
        queries and keys padded to the width of the values.
    """
    shapes = {name: replace(s, batch=2) if tiny else s for name, s in SHAPES.items()}
    return {"shapes": {name: _of_shape(shape, device) for name, shape in shapes.items()}}


def _of_shape(shape: Shape, device: str) -> dict[str, Any]:
    inputs = _inputs(shape, device)
    alone = {name: sdpa_kernel(backend) for name, backend in _BACKENDS.items()}
    found: dict[str, Any] = _timed(inputs, shape, device)
    found["alone"] = {
        name: _or_reason(inputs, shape, device, backend) for name, backend in alone.items()
    }
    if shape.width != shape.values:
        found["padded"] = _timed(inputs, shape, device, pads=True)
    return found


def _or_reason(*args: Any) -> dict[str, Any]:
    """Time a kernel, or return torch's reason why it cannot be used."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        found = guarded(_timed, *args)
    reasons = [str(one.message).partition(" (Triggered")[0] for one in said]
    if "error" in found:
        found["reasons"] = [reason for reason in reasons if "not used because" not in reason]
    return found


def _inputs(shape: Shape, device: str) -> list[Float[Tensor, "b h _ _"]]:
    b, h = shape.batch, shape.heads
    sizes = (
        (1 if shape.shared else b, h, shape.queries, shape.width),
        (b, h, shape.keys, shape.width),
        (b, h, shape.keys, shape.values),
    )
    options: dict[str, Any] = {"device": device, "dtype": torch.bfloat16, "requires_grad": True}
    return [torch.randn(size, **options) for size in sizes]


def _timed(
    inputs: list[Float[Tensor, "b h _ _"]],
    shape: Shape,
    device: str,
    backend: AbstractContextManager[object] | None = None,
    *,
    pads: bool = False,
) -> dict[str, Any]:
    def step() -> None:
        q, k, v = inputs
        q = q.expand(len(k), -1, -1, -1)
        if pads:
            q, k = (F.pad(x, (0, shape.values - shape.width)) for x in (q, k))
        out = F.scaled_dot_product_attention(q, k, v, scale=shape.width**-0.5)
        torch.autograd.grad(out, inputs, torch.ones_like(out))

    with backend or nullcontext():
        kernel = _kernel(step)
        for _ in range(3):
            step()
        ms = 1e3 * min(timed(step, device, count=_REPEATS) for _ in range(3))
    return {"kernel": kernel, "ms": short(ms)}


def _kernel(step: Callable[[], None]) -> str:
    with profile(activities=[ProfilerActivity.CPU]) as found:
        step()
    names = (_KERNEL.fullmatch(row.key) for row in found.key_averages())
    return next((name[1] for name in names if name), "none")


def kernels_line(row: dict[str, Any]) -> str:
    """Format the kernel and the times of each shape as a line."""
    return "; ".join(f"{name}: {_shape_line(found)}" for name, found in row["shapes"].items())


def _shape_line(found: dict[str, Any]) -> str:
    times = {name: one.get("ms", "refuses") for name, one in found["alone"].items()}
    times |= {"padded": found["padded"]["ms"]} if "padded" in found else {}
    shown = ", ".join(f"{name} {ms}" for name, ms in times.items())
    return f"{found['kernel']} {found['ms']} ms ({shown})"
