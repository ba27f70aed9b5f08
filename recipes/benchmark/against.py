r"""Compare the speed of this commit with another one, in alternating steps on one machine.

Commands:
    python -m recipes.benchmark.against --commit 41bb066                (minutes on two CPU cores)
    python -m recipes.benchmark.against --commit 41bb066 --out docs/results/against.json

The other commit is checked out into a temporary worktree; both builds run in this environment, so
that only avblocks differs. For each case, a process in each worktree takes steps in turn; the
result is the median of the ratios of these pairs of steps, by wall and by CPU time. To see the
noise of a machine, compare a commit with itself (`--commit HEAD`). Two processes of the same
build differ by about 10%: `--together` imports both builds into one process, and measures no
memory.

Try:
    --cases 'pretrain factorized*' --threads 1
    --cases 'pretrain factorized' 'pretrain dense' --threads 1 --together
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from avblocks.jsonfile import write_json
from recipes.benchmark.cases import matching
from recipes.benchmark.machine import machine
from recipes.benchmark.measure import short
from recipes.common.cli import run_options

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("steps.py")
READING = {"decoder": "reading"}
Times = tuple[float, float]
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "pretrain factorized": ("factorized", {}),
    "pretrain dense": ("dense", {}),
    "pretrain factorized, reading all": ("factorized", READING),
    "pretrain factorized, reading a half": ("factorized", READING | {"predict": 0.5}),
    "pretrain factorized, reading a third": ("factorized", READING | {"predict": 1 / 3}),
}
"""By name: the fusion, and arguments of `av_mae` that only this build has."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Settings."""

    commit: str | None = None
    """The other commit."""

    cases: tuple[str, ...] = ("*",)
    """Patterns of the names of cases."""

    repeats: int = 6
    """Pairs of steps per case, after one for warm-up."""

    threads: int = torch.get_num_threads()
    """Number of threads."""

    batch: int = 4
    """Samples per step."""

    together: bool = False
    """Take the steps of both builds in one process."""

    tiny: bool = False
    """Use a toy model, for a smoke test."""

    out: Path | None = None
    """JSON file for the results."""


class Steps:
    """A process that takes steps in a worktree."""

    def __init__(self, tree: Path, case: dict[str, Any]) -> None:
        env = {**os.environ, "PYTHONPATH": str(tree), "OMP_WAIT_POLICY": "PASSIVE"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", f"import runpy; runpy.run_path({str(SCRIPT)!r})['main']()"],
            cwd=tree,
            env=env,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._send(json.dumps(case))

    def step(self, build: int = 0) -> Times:
        """Take a step of one of the builds; return its wall and CPU seconds."""
        self._send(str(build))
        wall, cpu = self._answer()
        return wall, cpu

    def finish(self) -> float:
        """End the process; return its peak memory in MB."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        peak = self._answer()
        self.process.stdout.close()
        self.process.wait()
        return peak

    def _send(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def _answer(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise ValueError(f"the steps in {self.process.args} ended with an error, see above")
        return json.loads(line)


@contextmanager
def work_tree(commit: str) -> Iterator[Path]:
    """Check a commit out into a temporary folder.

    Raises:
        ValueError: If there is no such commit here.
    """
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        git = ["git", "-C", str(ROOT), "worktree"]
        done = subprocess.run(
            [*git, "add", "--detach", str(tree), commit],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise ValueError(f"--commit {commit}: {done.stderr.strip().splitlines()[-1]}")
        try:
            yield tree
        finally:
            subprocess.run([*git, "remove", "--force", str(tree)], check=False)


def compared(tree: Path, name: str, config: Config) -> dict[str, float]:
    """Measure a case in both worktrees in turn."""
    fusion, options = CASES[name]
    common = {"fusion": fusion, "batch": config.batch, "threads": config.threads}
    common |= {"tiny": config.tiny}
    ours, theirs = [str(ROOT), options], [str(tree), {}]
    if config.together:
        both = Steps(ROOT, common | {"builds": [ours, theirs]})
        processes, take = [both], [partial(both.step, 0), partial(both.step, 1)]
    else:
        processes = [Steps(Path(one[0]), common | {"builds": [one]}) for one in (ours, theirs)]
        take = [process.step for process in processes]
    pairs = []
    for n in range(config.repeats + 1):
        # Every other pair is in reverse order, in case the first step is slower.
        times = {build: take[build]() for build in ((1, 0) if n % 2 else (0, 1))}
        pairs.append((times[0], times[1]))
    pairs = pairs[1:]
    ratios = [before[0] / now[0] for now, before in pairs]
    memory = [process.finish() for process in processes]
    return {
        "seconds": short(statistics.median(now[0] for now, _ in pairs)),
        "seconds_before": short(statistics.median(before[0] for _, before in pairs)),
        "times_faster": short(statistics.median(ratios)),
        "times_faster_least": short(min(ratios)),
        "times_faster_cpu": short(statistics.median(b[1] / a[1] for a, b in pairs)),
        **({} if config.together else {"memory": short(memory[0] / memory[1])}),
    }


def main(config: Config) -> None:
    """Compare case by case, print the results, and write them if `--out` is given."""
    if config.commit is None or config.repeats < 1:
        raise ValueError("give the --commit to compare with, and --repeats of 1 or more")
    rows, names = {}, matching(CASES, config.cases)
    with work_tree(config.commit) as tree:
        for name in names:
            rows[name] = compared(tree, name, config)
            figures = ", ".join(f"{key} {value}" for key, value in rows[name].items())
            print(f"{name}: {figures}", flush=True)
    if config.out is not None:
        about = {"commit": config.commit, "batch": config.batch, "threads": config.threads}
        content = {"machine": machine() | {"torch": torch.__version__}, **about, "cases": rows}
        write_json(config.out, content)


if __name__ == "__main__":
    run_options(main, Config, doc=__doc__)
