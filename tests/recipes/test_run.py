"""The command line: presets, overrides, and a user's mistake as one line."""

import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from fresh import Fresh

from recipes.common.cli import run_cli
from recipes.engine.run import Run


@dataclass(frozen=True)
class Config:
    """A recipe's settings."""

    width: int = 8
    """Width of the model."""

    run: Run = field(default_factory=Run)


PRESETS = {"small": ("runs anywhere", Config()), "big": ("the paper's", Config(width=64))}


class NeedsTwoError(ValueError):
    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")


def call(*words: str) -> list[Config]:
    got: list[Config] = []
    run_cli(got.append, presets=PRESETS, doc="A toy recipe.", args=words)
    return got


def ends(capsys: pytest.CaptureFixture[str], *words: str, main=None) -> tuple[int, str]:
    with pytest.raises(SystemExit) as ended:
        run_cli(main or (lambda _: None), presets=PRESETS, doc="A toy recipe.", args=words)
    out = capsys.readouterr()
    return int(ended.value.code or 0), out.out + out.err


def test_default_preset_and_overrides() -> None:
    assert call()[0].width == 8
    assert call("--width", "9")[0].width == 9
    config = call("--run.max-steps", "2", "--run.resume")[0]
    assert (config.run.max_steps, config.run.resume) == (2, True)


def test_sub_command_and_folder() -> None:
    config = call("big", "--run.seed", "3")[0]
    assert (config.width, config.run.seed) == (64, 3)
    assert config.run.dir is not None
    assert config.run.dir.parent == Path("runs")
    assert config.run.dir.name.endswith("-big")
    assert call("--run.dir", "x/y")[0].run.dir == Path("x/y")


def test_help_suffices(capsys: pytest.CaptureFixture[str]) -> None:
    code, text = ends(capsys, "--help")
    assert code == 0
    for part in ("A toy recipe.", "the paper's", "--run.max-steps", "Width of the model."):
        assert part in text
    assert "64" in ends(capsys, "big", "--help")[1]


def test_unknown_preset_and_option(capsys: pytest.CaptureFixture[str]) -> None:
    code, text = ends(capsys, "huge", "--run.seed", "1")
    assert (code, text) == (2, "error: no preset 'huge'; the presets are: small, big\n")
    assert ends(capsys, "--nonsense")[0] == 2
    assert ends(capsys, "--run.save-every", "0")[0] == 2


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("bad\n number"), "bad number"),
        (FileNotFoundError(2, "No such file", "/x"), "[Errno 2] No such file: '/x'"),
        (FloatingPointError("loss nan"), "loss nan"),
        (
            ValueError(
                "Caught ValueError in DataLoader worker process 0.\nOriginal Traceback (most "
                'recent call last):\n  File "x.py"\nValueError: a.mp4: no sound\n'
            ),
            "a.mp4: no sound",
        ),
        (
            RuntimeError(
                "Caught NeedsTwoError in DataLoader worker process 0.\nOriginal Traceback (most "
                'recent call last):\n  File "x.py"\ntest_run.NeedsTwoError: a.mp4: no sound\n'
            ),
            "a.mp4: no sound",
        ),
        (
            RuntimeError("DataLoader worker (pid 12) is killed by signal: Killed. "),
            "a process that reads clips died (DataLoader worker (pid 12) is killed by signal: "
            "Killed), mostly for want of memory: continue with fewer --data.workers (a training "
            "run with --run.resume)",
        ),
        (
            ConnectionResetError(104, "Connection reset by peer"),
            "a process that reads clips died ([Errno 104] Connection reset by peer), mostly for "
            "want of memory: continue with fewer --data.workers (a training run with --run.resume)",
        ),
    ],
)
def test_user_errors_are_one_line(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    line: str,
) -> None:
    def main(_: Config) -> None:
        raise error

    assert ends(capsys, main=main) == (2, f"error: {line}\n")
    monkeypatch.setenv("AVBLOCKS_TRACEBACK", "1")
    with pytest.raises(type(error)):
        run_cli(main, presets=PRESETS, doc="", args=[])


@pytest.mark.parametrize("error", [RuntimeError("shape"), TypeError("bug"), KeyError("loss")])
def test_bugs_keep_their_traceback(error: Exception) -> None:
    def main(_: Config) -> None:
        raise error

    with pytest.raises(type(error)):
        run_cli(main, presets=PRESETS, doc="", args=[])


@pytest.mark.parametrize("setting", ["max-steps", "accumulate", "save-every", "devices", "nodes"])
def test_impossible_numbers(setting: str) -> None:
    with pytest.raises(ValueError, match=rf"--run\.{setting} must be at least 1, got 0"):
        Run(**{setting.replace("-", "_"): 0})
    with pytest.raises(ValueError, match=r"--run\.clip-grad"):
        Run(clip_grad=0.0)


def test_list_of_recipes() -> None:
    done = subprocess.run([sys.executable, "-m", "recipes"], capture_output=True, text=True)
    assert done.returncode == 0
    assert "_engine" not in done.stdout


def test_engine_is_not_imported_for_help(fresh: Fresh) -> None:
    code = "import sys, recipes.engine, recipes.common.cli; print('lightning' in sys.modules)"
    done = fresh(code)
    assert done.stdout.strip() == "False", done.stderr


def test_a_reader_who_has_enough_is_no_mistake() -> None:
    imports = "from recipes.common.errors import users_errors"
    script = f"{imports}\nwith users_errors():\n    print('x' * 10**6)"
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.read(1)
        process.stdout.close()
        assert process.stderr.read() == b"" and process.wait() == 141
