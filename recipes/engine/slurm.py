"""Runs under SLURM: put back in the queue in time, and gone on with when they come round."""

import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path
from signal import SIGUSR1

from lightning.fabric.plugins.environments.slurm import SLURMEnvironment

from avblocks.checkpoint import saves as _saves
from recipes.engine.run import Run


def comes_round(run: Run, saves: Path) -> Run:
    """Resume by itself, if SLURM has started this job again and there is something to go on with.

    Args:
        run: The run's settings.
        saves: Where its checkpoints are.
    """
    again = int(os.environ.get("SLURM_RESTART_COUNT") or 0) > 0
    return replace(run, resume=True) if again and _saves.exists(saves) else run


def requeue(number: int) -> str:
    """Put the job back in the queue after the signal that SLURM gives for that, which is SIGUSR1.

    Args:
        number: Of the signal that ended the run.

    Returns:
        What became of it, in a line; empty if there is nothing to do.
    """
    environment = SLURMEnvironment()
    if not SLURMEnvironment.detect() or not environment.auto_requeue or number != SIGUSR1:
        return ""
    job = os.environ.get("SLURM_JOB_ID", "")
    if "SLURM_ARRAY_JOB_ID" in os.environ:
        job = f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ.get('SLURM_ARRAY_TASK_ID', '')}"
    if not re.fullmatch(r"[0-9]+(_[0-9]+)?", job):
        return f"not put back in the queue: SLURM's variables name no job, but {job!r}"
    try:
        done = subprocess.run(["scontrol", "requeue", job], capture_output=True, text=True)
    except OSError as error:
        return f"job {job} is not back in the queue: {error}"
    if done.returncode:
        return f"job {job} is not back in the queue: {done.stderr.strip() or done.returncode}"
    return f"job {job} is back in the queue, and will go on by itself"
