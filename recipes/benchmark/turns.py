"""Commands of two commits in turn: time and memory of whole processes."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from recipes.benchmark.against import ROOT, work_tree
from recipes.benchmark.machine import machine
from recipes.benchmark.measure import short

FAMILY = Path(__file__).with_name("family.py")
_RUN = f"import runpy, sys; sys.exit(runpy.run_path({str(FAMILY)!r})['main']())"
Words = Callable[[str, Path], Sequence[str]]
"""Function of a build, "ours" or "before", and an empty folder that returns a command's words."""


def timed(tree: Path, words: Sequence[str]) -> dict[str, float]:
    """Run ``python -m`` in a worktree, and measure it with all processes that it starts.

    Returns:
        Wall and CPU seconds, the latter of all processes, and the peak memory of one, in MB.

    Raises:
        ValueError: If the command ends with an error.
    """
    with TemporaryDirectory() as folder:
        out = Path(folder, "used.json")
        done = subprocess.run(
            [sys.executable, "-I", "-c", _RUN, str(out), sys.executable, "-m", *words],
            cwd=tree,
            env={**os.environ, "PYTHONPATH": str(tree)},
            stdout=subprocess.DEVNULL,
            check=False,
        )
        if done.returncode:
            raise ValueError(f"{words[0]} ended with an error in {tree}, see above")
        return json.loads(out.read_text())


def in_turn(
    commit: str,
    words: Words,
    *,
    repeats: int,
    amount: Mapping[str, float],
    score: Callable[[Path], Mapping[str, float]] = lambda _: {},
) -> dict[str, Any]:
    """Run a command of this commit and of another one in turn.

    Args:
        commit: The other commit.
        words: The command.
        repeats: Pairs of runs.
        amount: What a run works on, by unit, such as ``{"clips": 100}``.
        score: Function of the folder after a run that returns figures of what it produced.

    Returns:
        Medians of both builds, their rates per second of wall time, and the ratios of what a run
        took.
    """
    rows: dict[str, list[dict[str, float]]] = {"ours": [], "before": []}
    used: dict[str, float] = {}
    with work_tree(commit) as tree:
        for _ in range(repeats):
            for name, place in (("ours", ROOT), ("before", tree)):
                with TemporaryDirectory() as folder:
                    used = timed(place, words(name, Path(folder)))
                    rows[name].append({**used, **score(Path(folder))})
                print(name, *(f"{key} {short(n)}" for key, n in rows[name][-1].items()), flush=True)
    middle = {
        name: {key: short(median(row[key] for row in some)) for key in some[0]}
        for name, some in rows.items()
    }
    rates = {
        name: {f"{unit}_per_s": short(n / row["wall_s"]) for unit, n in amount.items()}
        for name, row in middle.items()
    }
    ours, before = middle["ours"], middle["before"]
    return {
        "machine": machine(),
        "commit": commit,
        "repeats": repeats,
        "threads": os.environ.get("OMP_NUM_THREADS", "all cores"),
        **amount,
        **{name: row | rates[name] for name, row in middle.items()},
        "times_faster": {key: short(before[key] / ours[key]) for key in used},
    }
