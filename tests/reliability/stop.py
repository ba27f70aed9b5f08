"""Signals that a scheduler sends: a run saves, leaves with a code to requeue on, and goes on."""

import os
import signal
import time
from pathlib import Path

from avblocks.checkpoint.saves import latest, step_of
from recipes.engine.folder import checkpoints
from tests.reliability.runs import Bench, Ended, newest, same_run, start, train, until, wait

STEPS = 60
_PLAN = ("--run.accumulate", "2", "--epochs", "1000", "--run.max-steps", str(STEPS))
_JOB = {
    "SLURM_JOB_ID": "4242",
    "SLURM_JOB_NAME": "train",
    "SLURM_NTASKS": "1",
    "SLURM_PROCID": "0",
    "SLURM_LOCALID": "0",
    "SLURM_NODEID": "0",
}


def _words(bench: Bench) -> tuple[str, ...]:
    return ("--data.root", str(bench.clips), *_PLAN)


def _whole(bench: Bench) -> Path:
    folder = bench.folder / "stop-whole"
    if not folder.is_dir():
        train(folder, *_words(bench))
    return folder


def _stopped(
    bench: Bench, folder: Path, number: signal.Signals, env: dict[str, str] | None = None
) -> Ended:
    """Start a run, send it a signal while it trains, and wait for its end."""
    process = start(folder, *_words(bench), "--run.save-every", "5", env=env)
    until(lambda: newest(folder) >= 5, process)
    process.send_signal(number)
    return wait(process)


def preemption(bench: Bench, number: signal.Signals) -> dict[str, float]:
    """Stop a run by a signal, go on with it, and compare its end with an unbroken run's.

    Returns:
        `exit_code`, `seconds` from the signal to the end, whether it was `saved` at the step it
        had come to, and whether the end is `identical`.
    """
    whole, folder = _whole(bench), bench.folder / f"stop-{number.name}"
    ended = _stopped(bench, folder, number)
    step = newest(folder)
    saved = f"{number.name}: saved at step {step} " in ended.said and 5 <= step < STEPS
    train(folder, *_words(bench), "--run.resume")
    return {
        "exit_code": ended.code,
        "seconds": round(ended.seconds, 2),
        "saved": int(saved),
        "identical": int(same_run(whole, folder)),
    }


def slurm(bench: Bench) -> dict[str, float]:
    """Send SLURM's signal to a run that is a job of SLURM, and start it again as SLURM does.

    `scontrol` is a script that notes what it is asked for.

    Returns:
        `exit_code`; whether the job was `requeued`, went on by itself (`resumed`) though nobody
        asked it to, and whether its end is `identical` with that of an unbroken run.
    """
    whole, folder, asked = _whole(bench), bench.folder / "slurm", bench.folder / "scontrol.txt"
    command = bench.folder / "bin" / "scontrol"
    command.parent.mkdir(exist_ok=True)
    command.write_text(f'#!/bin/sh\necho "$@" >> {asked}\n')
    command.chmod(0o755)
    job = {**_JOB, "PATH": f"{command.parent}:{os.environ['PATH']}"}
    ended = _stopped(bench, folder, signal.SIGUSR1, env=job)
    requeued = asked.is_file() and asked.read_text() == f"requeue {_JOB['SLURM_JOB_ID']}\n"
    path = latest(checkpoints(folder))
    again = train(folder, *_words(bench), env={**job, "SLURM_RESTART_COUNT": "1"})
    return {
        "exit_code": ended.code,
        "requeued": int(requeued and "is back in the queue" in ended.said),
        "resumed": int(path is not None and f"resuming from {path}" in again.said),
        "identical": int(same_run(whole, folder)),
    }


def lock(bench: Bench) -> dict[str, float]:
    """Start a run in a folder where one is at work, asked to resume or not; then kill that one.

    Returns:
        How many were `started` beside it and `refused`, whether the folder was `free` at once
        after the kill, `seconds` of the refusals at most.
    """
    folder = bench.folder / "lock"
    words = ("--data.root", str(bench.clips), "--run.save-every", "5", "--epochs", "100000")
    first = start(folder, *words)
    until(lambda: newest(folder) >= 5, first)
    holder = f"another run is active in {folder} (process {first.pid} "
    seconds, others = [], {(): f"{folder} holds a run already", ("--run.resume",): holder}
    refused = 0
    for more, reason in others.items():
        begin = time.monotonic()
        other = wait(start(folder, *words, *more))
        seconds.append(time.monotonic() - begin)
        refused += other.code == 2 and reason in other.error
    going = first.poll() is None
    first.kill()
    wait(first)
    step = step_of(latest(checkpoints(folder)) or Path("step-0"))
    after = wait(start(folder, *words, "--run.resume", "--run.max-steps", str(step + 1)))
    return {
        "started": len(others),
        "refused": refused * going,
        "free": int(after.code == 0),
        "seconds": round(max(seconds), 1),
    }
