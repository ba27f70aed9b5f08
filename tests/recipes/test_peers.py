"""A run whose terminal is closed saves; where one of several processes dies, the others end."""

import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from engine_toy import losses, train

from avblocks.checkpoint.saves import latest, step_of

SCRIPT = """
import os, signal, sys, time
from pathlib import Path
import torch
import engine_toy
from recipes.common.errors import users_errors
torch.set_num_threads(1)
folder, devices, rank, number = Path(sys.argv[1]), *map(int, sys.argv[2:])
seen = []

def note(batch):
    seen.append(batch)
    if os.environ.get("LOCAL_RANK", "0") == str(rank) and len(seen) == 4:
        os.kill(os.getpid(), number)
    time.sleep(0.05)

with users_errors():
    engine_toy.train(folder, devices=devices, log=note, save_every=2)
"""


def command(tmp_path: Path, *words: int) -> list[str]:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    return [sys.executable, str(script), str(tmp_path / "run"), *map(str, words)]


def paths() -> dict[str, str]:
    return {"PYTHONPATH": f"{Path.cwd()}:{Path(__file__).parent}", "PATH": "/usr/bin:/bin"}


def alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_dead_process_ends_the_others_with_a_line(tmp_path: Path, rank: int) -> None:
    with subprocess.Popen(
        command(tmp_path, 2, rank, signal.SIGKILL),
        stderr=subprocess.PIPE,
        text=True,
        env=paths(),
        start_new_session=True,
    ) as process:
        try:
            code = process.wait(timeout=240)
            since = time.monotonic()
            while alive(process.pid) and time.monotonic() < since + 10:
                time.sleep(0.05)
            assert not alive(process.pid) and time.monotonic() - since < 5
        finally:
            if alive(process.pid):
                os.killpg(process.pid, signal.SIGKILL)
        assert process.stderr is not None
        said = process.stderr.read()
    assert "Traceback" not in said
    how = "process 0 of the run died" if rank == 0 else "process 1 of the run died (SIGKILL)"
    lines = [line for line in said.splitlines() if line.startswith("error: ")]
    assert lines == [f"error: {how}: all others end; continue with --run.resume"], said
    assert code == (-signal.SIGKILL if rank == 0 else 2)
    fitted, _ = train(tmp_path / "run", resume=True, max_steps=4, world_batch=4)
    assert fitted.step == 4 and losses(tmp_path / "run").keys() == {1, 2, 3, 4}


@pytest.mark.slow
def test_a_closed_terminal_saves(tmp_path: Path) -> None:
    """The kernel sends SIGHUP, and printing is an error from then on."""
    words = command(tmp_path, 1, 0, 0)  # signal 0 is none
    process, terminal = pty.fork()
    if not process:
        os.execve(words[0], words, os.environ | paths())
    saves = tmp_path / "run" / "checkpoints"
    since = time.monotonic()
    while latest(saves) is None and time.monotonic() < since + 120:
        if select.select([terminal], [], [], 0.02)[0]:
            os.read(terminal, 10_000)
    os.close(terminal)
    _, status = os.waitpid(process, 0)
    assert os.waitstatus_to_exitcode(status) == 128 + signal.SIGHUP
    path = latest(saves)
    assert path is not None and 2 <= step_of(path) < 15
    assert max(losses(tmp_path / "run")) == step_of(path)


def test_a_run_under_nohup_goes_on(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        seen = []

        def hang_up(batch: object) -> None:
            seen.append(batch)
            os.kill(os.getpid(), signal.SIGHUP)

        fitted, _ = train(tmp_path, max_steps=2, log=hang_up)
        assert fitted.step == 2 and len(seen) == 2
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
