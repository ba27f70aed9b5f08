"""A process that reads clips and dies, or hangs, ends the run: soon, and in one line."""

import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_model import TINY

from recipes import paper_pretrain
from recipes.common import loaders as _loaders
from recipes.common.cli import run_cli
from recipes.common.data import SCENES_DATA, Data
from recipes.common.errors import user_line
from tests.reliability.faulty import Reader


@pytest.fixture
def clips(toy_scenes: Path) -> Path:
    return toy_scenes


# Torch looks whether files can still be opened, and leaves the ones it opened to be collected.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
# A worker's death is told by a signal: within a check of shapes, that check would tell of it.
@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("kind", "message", "workers"),
    [
        ("dies", "a process that reads clips died (", "1"),
        ("dies", "a process that reads clips died (", "2"),
        ("hangs", "nothing came from the processes that read clips (DataLoader timed out a", "2"),
    ],
)
def test_the_run_ends_soon_and_says_why(
    clips: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    kind: str,
    message: str,
    workers: str,
) -> None:
    monkeypatch.setattr(_loaders, "read_clip", Reader(kind))
    monkeypatch.setenv("FAULT", str(tmp_path / "fault"))
    words = {
        "data.root": clips,
        "data.seconds": 0.5,
        "data.size": 16,
        "data.mels": 32,
        "data.workers": workers,
        "data.timeout": 2,
        "batch": 2,
        "run.dir": tmp_path / "run",
        "run.max-steps": 12,
    }
    preset = replace(paper_pretrain.FOLDER, model=TINY)
    start = time.monotonic()
    with pytest.raises(SystemExit) as left:
        run_cli(
            paper_pretrain.main,
            presets={"folder": ("any folder", preset)},
            doc="",
            args=[str(word) for name, value in words.items() for word in (f"--{name}", value)],
        )
    assert time.monotonic() - start < 40
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert left.value.code == 2 and message in line


def test_a_death_is_told_when_cleaning_up_fails_too() -> None:
    """The signal comes anywhere, also where a file is between being closed and opened again."""
    with pytest.raises(ValueError) as failed:
        try:
            raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. ")
        finally:
            raise ValueError("I/O operation on closed file.")
    line = user_line(failed.value)
    assert line is not None and line.startswith("a process that reads clips died (DataLoader wor")


@pytest.mark.parametrize(
    ("cores", "gpus", "workers"), [(1, 0, 0), (2, 0, 2), (64, 0, 8), (64, 16, 4), (8, 8, 0)]
)
@pytest.mark.filterwarnings("error")
def test_auto_asks_for_no_more_workers_than_there_are_cores(
    monkeypatch: pytest.MonkeyPatch, cores: int, gpus: int, workers: int
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(cores)), raising=False)
    monkeypatch.setattr("torch.cuda.device_count", lambda: gpus)
    assert SCENES_DATA.num_workers == workers
    torch.utils.data.DataLoader([0], num_workers=SCENES_DATA.num_workers)  # torch warns of more
    assert Data(name="scenes", workers=3).num_workers == 3
