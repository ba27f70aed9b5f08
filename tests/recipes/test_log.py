"""The lines of a run's log."""

from pathlib import Path

import pytest

from recipes.engine.log import Report
from recipes.engine.plan import Plan


def test_the_rate_of_an_epoch_is_its_samples_over_its_seconds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = Report(tmp_path, lock=None, plan=Plan(batches=2, epochs=2), start=0, every=1)
    for step, seconds in enumerate((1.0, 3.0, 0.5, 0.5), start=1):
        report.step(step, {"loss": 1.0, "lr": 0.1, "samples_per_s": 8 / seconds})
    report.close()
    first, second = (line for line in capsys.readouterr().out.splitlines() if "samples/s" in line)
    assert "  4 samples/s" in first and "  16 samples/s" in second
