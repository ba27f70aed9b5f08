"""Steps that are not finite leave no trace in the model, and stop a run where it is to stop."""

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import nn

from recipes._engine_finite import PATIENCE, Finite


@dataclass(frozen=True)
class Named:
    paths: tuple[str, ...]


def test_a_step_left_out_leaves_no_trace(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.5)
    finite = Finite(model, skip=True, saves=tmp_path)
    for x in (torch.randn(5, 3), torch.randn(5, 3) * torch.nan):
        before = {name: value.clone() for name, value in model.state_dict().items()}
        finite.begin(1)
        loss = model(x).square().mean()
        value = loss.item()
        finite.loss(value, own=value, batch=Named(("a.mp4",)))
        loss.backward()
        if finite.fault:
            finite.leave_out()
        optimizer.step()
        optimizer.zero_grad()
    assert finite.fault == "loss nan in step 1; clips of the batch: a.mp4"
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert int(model[1].num_batches_tracked) == 1


def test_only_a_row_of_them_ends_the_run(tmp_path: Path) -> None:
    finite = Finite(nn.Linear(1, 1), skip=True, saves=tmp_path)
    for step in range(1, PATIENCE):
        finite.begin(step)
        finite.loss(torch.inf, own=1.0, batch=Named(("b.mp4",)))
        assert finite.fault.endswith("unnamed")  # the fault was another process's
    finite.begin(PATIENCE)
    finite.gradient(1.0)
    assert not finite.fault
    for step in range(1, PATIENCE):
        finite.begin(step)
        finite.gradient(torch.nan)
    finite.begin(PATIENCE)
    with pytest.raises(FloatingPointError, match=f"{PATIENCE} such steps in a row; last good"):
        finite.gradient(torch.nan)


def test_all_bad_batches_of_a_step_are_named(tmp_path: Path) -> None:
    finite = Finite(nn.Linear(1, 1), skip=True, saves=tmp_path)
    finite.begin(3)
    for loss, path in ((torch.nan, "a"), (1.0, "b"), (torch.nan, "c")):
        finite.loss(loss, own=loss, batch=Named((path,)))
    finite.gradient(torch.nan)
    assert "batch: a;" in finite.fault and finite.fault.endswith("batch: c")
