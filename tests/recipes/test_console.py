"""`log.txt` has the console's lines, from the first to the error, and no progress bars."""

import errno
import io
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from engine_toy import train
from tqdm import tqdm

from recipes.engine.command import command_line
from recipes.engine.console import recording


def log(folder: Path) -> list[str]:
    return (folder / "log.txt").read_text(encoding="utf-8").splitlines()


def test_lines_before_the_folder_is_known_are_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with recording() as console:
        print("before")
        console.attach(tmp_path)
        print("after")
        print("an error", file=sys.stderr)
        with recording() as same:
            assert same is console
            print("within")
    print("outside")
    first, *others = log(tmp_path)
    assert first[:2] == "20" and first.endswith(command_line())
    assert others == ["before", "after", "an error", "within"]
    assert capsys.readouterr().out == "before\nafter\nwithin\noutside\n"


def test_a_closed_terminal_ends_the_lines_on_it_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its signal comes later, or never if the shell has disowned the run."""
    terminal, end = pty.openpty()
    with os.fdopen(end, "w", buffering=1) as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        with recording() as console:
            console.attach(tmp_path)
            print("before")
            assert os.read(terminal, 100) == b"before\r\n"
            os.close(terminal)
            print("after", flush=True)
            print("later", end="")
            sys.stdout.flush()
    assert log(tmp_path)[1:] == ["before", "after", "later"]


def test_a_broken_disk_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(sys, "stdout", Broken())
    with pytest.raises(OSError, match="broken"), recording() as console:
        console.attach(tmp_path)
        print("lost")


def test_bars_are_left_out(tmp_path: Path) -> None:
    with recording() as console:
        console.attach(tmp_path)
        bar = tqdm(range(3), "bar", file=sys.stderr, mininterval=0)
        for number in bar:
            bar.write(f"number {number}", file=sys.stdout)
        print("after", file=sys.stderr)
    assert log(tmp_path)[1:] == ["number 0", "number 1", "number 2", "after"]


def test_a_bug_is_logged_with_its_traceback(tmp_path: Path) -> None:
    with pytest.raises(KeyError), recording() as console:
        console.attach(tmp_path)
        raise KeyError("loss")
    assert log(tmp_path)[1].startswith("Traceback") and log(tmp_path)[-1] == "KeyError: 'loss'"


def test_a_resumed_run_appends(tmp_path: Path) -> None:
    train(tmp_path, max_steps=5)
    before = log(tmp_path)
    train(tmp_path, resume=True)
    after = log(tmp_path)
    assert after[: len(before)] == before
    assert sum("epoch 1/3" in line for line in after) == 1
    assert sum("epoch 3/3" in line for line in after) == 1
    assert any(line.startswith("resuming from") for line in after)


SCRIPT = """
import sys
from dataclasses import dataclass, field
from pathlib import Path
import engine_toy
from recipes.common.cli import run_cli
from recipes.engine.run import Run

@dataclass(frozen=True)
class Config:
    run: Run = field(default_factory=Run)

def main(config):
    print("listed")
    engine_toy.train(config.run.folder, dataset=engine_toy.Points(fails=3))

run_cli(main, presets={"toy": ("", Config())}, doc="")
"""


def test_the_users_error_is_the_last_line(tmp_path: Path) -> None:
    (tmp_path / "toy.py").write_text(SCRIPT)
    command = [sys.executable, str(tmp_path / "toy.py"), "--run.dir", str(tmp_path / "run")]
    paths = {"PYTHONPATH": f"{Path.cwd()}:{Path(__file__).parent}", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, capture_output=True, text=True, env=paths, timeout=120)
    assert done.returncode == 2
    assert log(tmp_path / "run")[1] == "listed"
    assert log(tmp_path / "run")[-1] == "error: clip3.mp4 has no sound" == done.stderr.strip()
    assert "python" in log(tmp_path / "run")[0] and "--run.dir" in log(tmp_path / "run")[0]
