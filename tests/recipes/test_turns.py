"""Time and memory of whole commands, with the processes that they start."""

from pathlib import Path

import pytest

from recipes.benchmark.turns import timed

BUSY = """
import subprocess, sys, time
def work(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
if sys.argv[1:] == ["fails"]:
    sys.exit(3)
if sys.argv[1:] == ["worker"]:
    work(0.4)
else:
    subprocess.Popen([sys.executable, "-m", "busy", "worker"])  # never waited for
"""


def test_workers_that_nobody_waits_for_count(tmp_path: Path) -> None:
    (tmp_path / "busy.py").write_text(BUSY)
    used = timed(tmp_path, ["busy"])
    assert 0.4 < used["cpu_s"] < 2 and used["memory_mb"] > 1
    with pytest.raises(ValueError, match="busy ended with an error"):
        timed(tmp_path, ["busy", "fails"])
