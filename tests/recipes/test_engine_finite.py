"""Steps that are not finite leave no trace in the model, and stop a run where it is to stop."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import nn, tensor

from recipes.engine.readings import PATIENCE, BatchMetrics, NonFiniteGuard, StepMetrics


def reading(
    step: int, *, losses: Sequence[float] = (1.0,), own: Sequence[float] | None = None, norm: float
) -> StepMetrics:
    pairs = zip(losses, own or losses, "abc", strict=False)
    parts = [
        BatchMetrics(names=["loss", "l"], means=tensor([x, 2.0]), own=tensor(y), clips=(c,))
        for x, y, c in pairs
    ]
    return StepMetrics(step, batches=parts, norm=tensor(norm), signal=tensor(0.0))


def test_a_step_left_out_leaves_no_trace(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.5)
    finite, fault = NonFiniteGuard(model, skip=True, saves=tmp_path), ""
    for x in (torch.randn(5, 3), torch.randn(5, 3) * torch.nan):
        before = {name: value.clone() for name, value in model.state_dict().items()}
        finite.begin()
        loss = model(x).square().mean()
        loss.backward()
        fault = finite.fault(reading(1, losses=[loss.item()], norm=1.0), scaled=False)
        if fault:
            finite.leave_out()
        optimizer.step()
        optimizer.zero_grad()
    assert fault == "loss nan in step 1; clips of the batch: a"
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert int(model[1].num_batches_tracked) == 1


def test_only_a_row_of_them_ends_the_run(tmp_path: Path) -> None:
    finite = NonFiniteGuard(nn.Linear(1, 1), skip=True, saves=tmp_path)
    for step in range(1, PATIENCE):
        fault = finite.fault(reading(step, losses=[torch.inf], own=[1.0], norm=1.0), scaled=False)
        assert fault.endswith("unnamed")  # the fault was another process's
    assert not finite.fault(reading(PATIENCE, norm=1.0), scaled=False)
    bad = reading(PATIENCE, norm=torch.nan)
    assert not finite.fault(bad, scaled=True)
    for _ in range(1, PATIENCE):
        assert finite.fault(bad, scaled=False)
    with pytest.raises(FloatingPointError, match=f"{PATIENCE} such steps in a row; last good"):
        finite.fault(bad, scaled=False)


def test_all_bad_batches_of_a_step_are_named(tmp_path: Path) -> None:
    finite = NonFiniteGuard(nn.Linear(1, 1), skip=True, saves=tmp_path)
    told = finite.fault(reading(3, losses=[torch.nan, 1.0, torch.nan], norm=1.0), scaled=False)
    assert told == "loss nan in step 3; clips of the batch: a, c"
    told = finite.fault(reading(3, losses=[1.0, 1.0, 1.0], norm=torch.inf), scaled=False)
    assert told == "gradient norm inf in step 3; clips of the batch: a, b, c"
