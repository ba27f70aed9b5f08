"""Losses that are not finite: the run stops and names them, or leaves the step out."""

from pathlib import Path

from recipes.engine.folder import checkpoints
from tests.reliability.runs import Bench, Ended, newest, rows, same_run, start, state, wait

STEPS = 12
_PLAN = ("--epochs", "20", "--run.accumulate", "2", "--run.save-every", "1")


def _train(bench: Bench, folder: Path, *words: str) -> Ended:
    env = {"FAULT": str(bench.folder / "fault-nan")}
    options = ("--data.root", str(bench.clips), *_PLAN, *words)
    return wait(start(folder, *options, module="tests.reliability.faulty nan", env=env))


def stops(bench: Bench) -> dict[str, int]:
    """Train on a clip whose loss is no number.

    Returns:
        `exit_code`, and whether the error named the `step`, the `clip` and the last good
        checkpoint (`save`).
    """
    folder = bench.folder / "nan-stops"
    ended = _train(bench, folder)
    step = newest(folder)
    good = str(checkpoints(folder) / f"step-{step:08d}.ckpt") if step > 0 else "none yet"
    return {
        "exit_code": ended.code,
        "step": int(f"loss nan in step {max(step, 0) + 1};" in ended.error),
        "clip": int("train000005" in ended.error),
        "save": int(f"last good checkpoint: {good}" in ended.error),
    }


def skips(bench: Bench) -> dict[str, int]:
    """Train on it with such steps left out, unbroken, and stopped and gone on with.

    Returns:
        `steps` of the run, those `left_out`; how many of them were `counted` in metrics.csv and on
        the screen; whether all weights are `finite` and the two ends `identical`.
    """
    folders = [bench.folder / f"nan-skips-{name}" for name in ("whole", "parts")]
    skip = ("--run.on-nonfinite", "skip")
    ended = _train(bench, folders[0], *skip, "--run.max-steps", str(STEPS))
    for stop, more in ((STEPS // 2, ()), (STEPS, ("--run.resume",))):
        _train(bench, folders[1], *skip, "--run.max-steps", str(stop), *more)
    counted = sum("nonfinite" in row for row in rows(folders[0]))
    told = ended.said.count("step left out")
    finite = all(value.isfinite().all() for value in state(folders[0])["state_dict"].values())
    return {
        "steps": newest(folders[0]),
        "left_out": told,
        "counted": counted,
        "finite": int(finite),
        "identical": int(same_run(*folders)),
    }
