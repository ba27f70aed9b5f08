"""Deviation of losses, gradients and a short training in half precision from float32."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.optim import AdamW

from avblocks import AVMAE, Mask, RandomMask
from recipes.benchmark.cases import Case
from recipes.benchmark.measure import short
from recipes.benchmark.work import random_inputs, sizes
from recipes.common.model import build_autoencoder

_STEPS = 10
_SCALE = 1024.0  # of the loss, so that small gradients are not zero in float16
HALVES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


def precision(device: str, tiny: bool) -> dict[str, Any]:
    """Compare mixed precision with float32, with equal weights, batch and masks.

    Returns:
        The float32 loss, and for each half precision the relative deviations of the loss, of the
        gradient of all weights, and of the loss after a few steps of AdamW.
    """
    case = Case(task="backward", batch=4 if tiny else 32, tiny=tiny, device=device)
    exact = _trained(case, torch.float32)
    found: dict[str, Any] = {"loss": short(exact[0].item()), "steps": _STEPS}
    for name, dtype in HALVES.items():
        half = _trained(case, dtype)
        pairs = zip(("loss", "gradient", "trained"), half, exact, strict=True)
        found[name] = {what: _deviation(one, other) for what, one, other in pairs}
    return found


def _deviation(found: Tensor, exact: Tensor) -> float:
    return short(((found - exact).norm() / exact.norm()).item())


def _trained(
    case: Case, dtype: torch.dtype
) -> tuple[Float[Tensor, ""], Float[Tensor, " d"], Float[Tensor, ""]]:
    """Return the loss and the gradient of the first step, and the loss after all steps."""
    torch.manual_seed(0)
    model = build_autoencoder(*sizes(case)).to(case.device)
    inputs = random_inputs(case)
    batch: dict[str, Any] = inputs | _masks(model, case, inputs)
    optimizer = AdamW(model.parameters(), lr=1e-4, fused=True)
    losses, gradient = [], torch.zeros(0)
    for number in range(_STEPS):
        with torch.autocast(case.device, dtype, enabled=dtype != torch.float32):
            loss = model(**batch).loss
        (_SCALE * loss).backward()
        for weight in model.parameters():
            if weight.grad is not None:
                weight.grad /= _SCALE
        if number == 0:
            gradient = _gradient(model)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.detach().float())
    return losses[0], gradient, losses[-1]


def _masks(model: AVMAE, case: Case, inputs: dict[str, Tensor]) -> dict[str, Mask]:
    random = torch.Generator(case.device).manual_seed(0)
    grids = model.encoder.image.grid(inputs["image"]), model.encoder.audio.grid(inputs["audio"])
    image, audio = (
        RandomMask(share)(grid, batch=case.batch, generator=random)
        for share, grid in zip((0.75, 0.8), grids, strict=True)
    )
    return {"image_mask": image, "audio_mask": audio}


def _gradient(model: AVMAE) -> Float[Tensor, " d"]:
    grads = [w.grad.flatten() for w in model.parameters() if w.grad is not None]
    return torch.cat(grads).float()


def precision_line(row: dict[str, Any]) -> str:
    """Format the deviations of each half precision as a line."""
    shown = (
        f"{name} loss {100 * row[name]['loss']:.2g}%, gradient {100 * row[name]['gradient']:.2g}%, "
        f"loss after {row['steps']} steps {100 * row[name]['trained']:.2g}% off float32"
        for name in HALVES
    )
    return "; ".join(shown)
