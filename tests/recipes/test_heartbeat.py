"""Processes that a launcher started end together when one of them dies or hangs."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from torch.distributed import HashStore

from recipes.engine import heartbeat
from recipes.engine.heartbeat import Heartbeat

SCRIPT = """
import os, signal, sys
from pathlib import Path
import torch
import engine_toy
from recipes.common.errors import users_errors
from recipes.engine import heartbeat
torch.set_num_threads(1)
heartbeat.MISSED = 5
seen = []

def note(batch):
    seen.append(batch)
    if os.environ["RANK"] == "1" and len(seen) == 3:
        os.kill(os.getpid(), int(sys.argv[2]))

with users_errors():
    engine_toy.train(Path(sys.argv[1]), devices=2, log=note)
"""


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "EVERY", 0.02)
    monkeypatch.setattr(heartbeat, "MISSED", 15)


def three() -> tuple[list[Heartbeat], list[list[str | None]]]:
    store, ended = HashStore(), [[], [], []]
    return [Heartbeat(store, rank=n, world=3, ended=ended[n].append) for n in range(3)], ended


def until(done) -> None:
    since = time.monotonic()
    while not done() and time.monotonic() < since + 10:
        time.sleep(0.01)
    assert done()


def test_one_process_says_which_one_died(fast: None) -> None:
    beats, ended = three()
    time.sleep(0.6)  # longer than it takes to miss one
    assert ended == [[], [], []]
    beats[1].stop()
    until(lambda: ended[0] and ended[2])
    assert ended == [["process 1 of the run sent no heartbeat for 0.3 s"], [], [None]]


def test_the_others_hear_of_an_error(fast: None) -> None:
    beats, ended = three()
    beats[2].stop()
    assert beats[2].claim() and not beats[0].claim()
    until(lambda: ended[0] and ended[1])
    assert ended == [[None], [None], []]


def test_a_store_that_is_gone_is_the_first_process(fast: None) -> None:
    class Gone(HashStore):
        def set(self, *_: str) -> None:
            raise RuntimeError("Broken pipe")

    ended: list[str | None] = []
    beat = Heartbeat(Gone(), rank=1, world=2, ended=ended.append)
    beat._store = Gone()  # a prefix passes our class by
    until(lambda: ended)
    assert ended == ["process 0 of the run died or cannot be reached"]


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL])
def test_processes_without_a_launcher_that_looks(tmp_path: Path, number: int) -> None:
    """As `srun` and torchrun on another machine: nobody ends the rest. SIGSTOP: no backend sees."""
    (tmp_path / "script.py").write_text(SCRIPT)
    env = {
        "PYTHONPATH": f"{Path.cwd()}:{Path(__file__).parent}",
        "PATH": "/usr/bin:/bin",
        "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "2",
        "GROUP_RANK": "0",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
        "TORCHELASTIC_RUN_ID": "none",
    }
    command = [sys.executable, "script.py", str(tmp_path / "run"), str(int(number))]
    both = [
        subprocess.Popen(
            command,
            cwd=tmp_path,
            env=env | {"RANK": rank, "LOCAL_RANK": rank},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in "01"
    ]
    try:
        said = both[0].communicate(timeout=240)[1]
        assert both[0].returncode == 2
    finally:
        os.kill(both[1].pid, signal.SIGCONT)
        both[1].kill()
        both[1].communicate()
    assert "Traceback" not in said
    lines = [line for line in said.splitlines() if line.startswith("error: ")]
    silent = "process 1 of the run sent no heartbeat for 5 s: all others end; continue with "
    gone = "another process of the run died or cannot be reached: continue with "
    assert lines in ([f"error: {silent}--run.resume"], [f"error: {gone}--run.resume"]), said
    assert number == signal.SIGKILL or "no heartbeat" in lines[0]
