"""Rates that follow the clips behind one update."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from recipes.common.optimizer import fused, peak_lr
from recipes.engine.run import Run


@pytest.mark.parametrize(
    ("run", "samples", "clips"),
    [
        ({}, 100, 8),
        ({"accumulate": 4}, 100, 32),
        ({"devices": 2}, 100, 16),
        ({"devices": 2, "nodes": 2, "accumulate": 2}, 100, 64),
        ({}, 5, 5),
        ({"accumulate": 4}, 5, 20),
    ],
)
def test_the_rate_is_that_of_the_clips_behind_an_update(
    run: dict[str, int], samples: int, clips: int
) -> None:
    config = SimpleNamespace(run=Run(**run), batch=8, epochs=2, warmup=1, base_lr=0.1)
    assert peak_lr(config, samples=samples) == pytest.approx(0.1 * clips / 256)


def test_a_loss_scaler_keeps_its_scale_to_itself() -> None:
    assert fused(Run()) and not fused(replace(Run(), precision="16-mixed"))
