"""Jobs of SLURM: put back in the queue on its signal, and gone on with when started again."""

import os
from pathlib import Path
from signal import SIGTERM, SIGUSR1

import pytest

from recipes.engine.run import Run
from recipes.engine.signals import requeue, resume_if_requeued


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A job of SLURM; the file gets what `scontrol` is asked for."""
    command, asked = tmp_path / "bin" / "scontrol", tmp_path / "asked"
    command.parent.mkdir()
    command.write_text(
        f'#!/bin/sh\necho "$@" >> {asked}\ntest "$2" != 13 || (echo no >&2; exit 1)\n'
    )
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{command.parent}:{os.environ['PATH']}")
    for name in [name for name in os.environ if name.startswith("SLURM_")]:
        monkeypatch.delenv(name)
    for name, value in {"JOB_ID": "7", "NTASKS": "1", "JOB_NAME": "train"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    return asked


def test_the_job_is_put_back(asked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "job 7 is back in the queue" in requeue(SIGUSR1)
    assert asked.read_text() == "requeue 7\n"
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "5")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "2")
    requeue(SIGUSR1)
    assert asked.read_text() == "requeue 7\nrequeue 5_2\n"


def test_other_signals_and_other_places_are_left_alone(
    asked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert requeue(SIGTERM) == ""  # SLURM itself puts back what it preempts
    monkeypatch.setenv("SLURM_JOB_NAME", "interactive")
    assert requeue(SIGUSR1) == ""
    monkeypatch.setenv("SLURM_JOB_NAME", "train")
    monkeypatch.delenv("SLURM_NTASKS")
    assert requeue(SIGUSR1) == ""
    assert not asked.exists()


@pytest.mark.parametrize("job", ["", "7;ls", "$(ls)"])
def test_what_is_no_job_is_asked_of_nobody(
    asked: Path, monkeypatch: pytest.MonkeyPatch, job: str
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", job)
    assert "name no job" in requeue(SIGUSR1)
    assert not asked.exists()


def test_failures_are_told(asked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "13")
    assert requeue(SIGUSR1) == "job 13 is not back in the queue: no"
    monkeypatch.setenv("PATH", "/nowhere")
    assert "job 13 is not back in the queue: " in requeue(SIGUSR1)


def test_a_job_started_again_goes_on_if_there_is_something(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(dir=tmp_path)
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert not resume_if_requeued(run, tmp_path).resume
    (tmp_path / "step-00000001.ckpt").touch()
    assert resume_if_requeued(run, tmp_path).resume
    for count in ("0", ""):
        monkeypatch.setenv("SLURM_RESTART_COUNT", count)
        assert not resume_if_requeued(run, tmp_path).resume
