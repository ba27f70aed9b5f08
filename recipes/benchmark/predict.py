r"""Compare `python -m recipes.predict` of this build with that of another commit, in turn.

Commands:
    python -m recipes.benchmark.predict --commit 41bb066 --checkpoint RUN... --seconds 300
    python -m recipes.benchmark.predict ... --out docs/results/predict.json

The footage is synthetic: 360p, 25 frames per second. Both builds run in this environment and read
the same runs; train them with the older build. Use the wall time on an idle machine, and the CPU
time, the sum over all cores, on a shared one.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Annotated

import tyro

from avblocks.files import write_text
from recipes.benchmark.against import ROOT, work_tree
from recipes.benchmark.footage import write_footage
from recipes.benchmark.machine import machine
from recipes.benchmark.measure import short
from recipes.common.cli import users_errors


@dataclass(frozen=True, kw_only=True)
class Config:
    """Settings."""

    commit: str | None = None
    """The other commit."""

    checkpoint: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="RUN...")] = ()
    """Run folders, of different tasks."""

    seconds: float = 300.0
    """Length of the video."""

    repeats: int = 2
    """Pairs of runs."""

    out: Path | None = None
    """JSON file for the results."""


def timed(tree: Path, video: Path, config: Config, out: Path) -> dict[str, float]:
    """Predict in a worktree; return wall and CPU seconds, and the peak memory in MB."""
    runs = [str(path.resolve()) for path in config.checkpoint]
    words = [str(video), "--checkpoint", *runs, "--out", str(out)]
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "recipes.predict", *words],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree)},
        stdout=subprocess.DEVNULL,
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise ValueError(f"recipes.predict ended with an error in {tree}, see above")
    return {
        "wall_s": time.perf_counter() - start,
        "cpu_s": used.ru_utime + used.ru_stime,
        "memory_mb": used.ru_maxrss / 1e3,
    }


def main(config: Config) -> None:
    """Run both builds in turn, print the results, and write them if `--out` is given."""
    if config.commit is None or not config.checkpoint or config.repeats < 1:
        raise ValueError("give the --commit to compare with, and at least one --checkpoint RUN")
    with TemporaryDirectory() as folder, work_tree(config.commit) as tree:
        video = Path(folder, "video.mp4")
        write_footage(video, number=0, seconds=config.seconds, height=360, keys=50)
        trees = {"ours": ROOT, "before": tree}
        rows: dict[str, list[dict[str, float]]] = {name: [] for name in trees}
        for number in range(config.repeats):
            for name, place in trees.items():
                rows[name].append(timed(place, video, config, Path(folder, f"{name}-{number}")))
                print(name, *(f"{key} {short(n)}" for key, n in rows[name][-1].items()), flush=True)
    ours, before = (
        {key: short(median(row[key] for row in some)) for key in some[0]} for some in rows.values()
    )
    found = {
        "machine": machine(),
        "commit": config.commit,
        "seconds": config.seconds,
        "models": len(config.checkpoint),
        "threads": os.environ.get("OMP_NUM_THREADS", "all cores"),
        "ours": ours | {"video_s_per_s": short(config.seconds / ours["wall_s"])},
        "before": before | {"video_s_per_s": short(config.seconds / before["wall_s"])},
        "times_faster": {key: short(before[key] / ours[key]) for key in ours},
    }
    print(json.dumps(found["times_faster"]))
    if config.out is not None:
        write_text(config.out, json.dumps(found, indent=2) + "\n")


def cli(args: Sequence[str] | None = None) -> None:
    """Read the command line, then call `main`; user errors are one line, as in `run_cli`."""
    with users_errors():
        prog = "python -m recipes.benchmark.predict"
        main(tyro.cli(Config, prog=prog, description=__doc__, args=args))


if __name__ == "__main__":
    cli()
