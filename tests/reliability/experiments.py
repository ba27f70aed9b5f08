"""All experiments by name, and what right results are."""

import signal
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from tests.reliability import checkpoints, disk, files, numbers, processes, workers
from tests.reliability.kill import kill
from tests.reliability.resume import CASES, resume
from tests.reliability.runs import Bench
from tests.reliability.stop import lock, preemption, slurm

Figures = Mapping[str, Any]
SOON = workers.TIMEOUT + 20.0
"""Seconds within which a run ends after a process that reads clips died or hung."""
APART = 1e-5
"""Largest difference of losses and scores between one process and two."""


@dataclass(frozen=True)
class Experiment:
    """Spoils small runs, and tells figures."""

    run: Callable[[Bench], Figures]
    """Gives the figures."""

    right: Callable[[Figures], bool]
    """Whether they are what is promised."""


def experiments(*, kills: int = 20) -> dict[str, Experiment]:
    """List all experiments by the names of their figures."""
    return {
        "kill": Experiment(partial(kill, kills=kills), partial(_killed, kills=kills)),
        "resume": Experiment(_resume, _each(_all_identical)),
        "preemption": Experiment(_preemption, _each(_stopped)),
        "slurm": Experiment(slurm, _has(exit_code=138, requeued=1, resumed=1, identical=1)),
        "lock": Experiment(
            lock, lambda found: found["refused"] == found["started"] > 0 < found["free"]
        ),
        "full_disk": Experiment(disk.full, _like("stopped", "told", "untouched")),
        "read_only": Experiment(disk.read_only, _like("tried", "told")),
        "damaged_checkpoints": Experiment(checkpoints.damaged, _like("tried", "refused")),
        "damaged_newest": Experiment(checkpoints.fallback, _has(told=1, identical=1)),
        "other_model": Experiment(checkpoints.other_model, _like("tried", "refused", "untouched")),
        "pickles": Experiment(
            checkpoints.pickles, lambda found: _like("tried", "refused")(found) and not found["ran"]
        ),
        "hostile_files": Experiment(files.hostile, _bounded),
        "nonfinite_stop": Experiment(numbers.stops, _has(exit_code=2, step=1, clip=1, save=1)),
        "nonfinite_skip": Experiment(numbers.skips, _skipped),
        "workers": Experiment(_workers, _each(_ended)),
        "two_processes": Experiment(_training, _each(_close)),
        "metrics_over_processes": Experiment(_metrics, _each(_close)),
        "unequal_last_batches": Experiment(processes.unequal, _like("clips", "tested")),
    }


def _resume(bench: Bench) -> Figures:
    return {case.name: resume(bench, case) for case in CASES}


def _preemption(bench: Bench) -> Figures:
    return {n.name: preemption(bench, n) for n in (signal.SIGTERM, signal.SIGUSR1)}


def _workers(bench: Bench) -> Figures:
    return {
        f"{kind}_{count}": workers.worker(bench, kind, workers=count)
        for kind in ("dies", "hangs")
        for count in (1, 2)
    }


def _training(bench: Bench) -> Figures:
    return {name: processes.training(bench, name) for name in processes.STRATEGIES}


def _metrics(bench: Bench) -> Figures:
    return {
        f"{recipe.removeprefix('paper_')}_{name}": processes.metrics(bench, recipe, name)
        for recipe in processes.TESTED
        for name in processes.STRATEGIES
    }


def _killed(found: Figures, *, kills: int) -> bool:
    return found["kills"] == found["survived"] == kills and bool(found["identical"])


def _all_identical(found: Figures) -> bool:
    return found["identical"] == found["stops"] > 0


def _stopped(found: Figures) -> bool:
    return found["exit_code"] in (143, 138) and found["saved"] == found["identical"] == 1


def _bounded(found: Figures) -> bool:
    harmless = found["seconds"] < 10 and found["mb"] < 500
    return found["refused"] + found["bounded"] == found["tried"] and harmless


def _skipped(found: Figures) -> bool:
    same = 0 < found["left_out"] == found["counted"] < found["steps"]
    return same and found["finite"] == found["identical"] == 1


def _ended(found: Figures) -> bool:
    return found["exit_code"] == 2 and found["told"] == 1 and found["seconds"] < SOON


def _close(found: Figures) -> bool:
    return all(found.get(name, 0) <= APART for name in ("loss", "probe", "apart"))


def _has(**wanted: int) -> Callable[[Figures], bool]:
    return lambda found: all(found[name] == value for name, value in wanted.items())


def _like(first: str, *others: str) -> Callable[[Figures], bool]:
    return lambda found: found[first] > 0 and all(found[name] == found[first] for name in others)


def _each(right: Callable[[Figures], bool]) -> Callable[[Figures], bool]:
    def all_right(found: Figures) -> bool:
        values: Iterable[Figures] = found.values()
        return bool(found) and all(right(value) for value in values)

    return all_right
