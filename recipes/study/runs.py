"""Studies of many runs of recipes, with dependencies between runs; an interrupted study resumes."""

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from avblocks.checkpoint.saves import exists
from avblocks.files import write_text
from avblocks.jsonfile import read_json, write_json
from avblocks.progress import progress_bar
from recipes.common.data import Data, test_set, train_set
from recipes.engine.folder import checkpoints
from recipes.engine.provenance import versions
from recipes.engine.ranges import check_ranges
from recipes.engine.resuming import flat
from recipes.engine.run import Folder


@dataclass(frozen=True, kw_only=True)
class Study:
    """Settings of a study."""

    run: Folder = field(default_factory=Folder)
    """Folder of all the runs."""

    seeds: int = 3
    """Number of seeds."""

    first_seed: int = 0
    """The first of them, to divide a study over machines."""

    jobs: int = 2
    """Runs at a time."""

    out: Path = Path("docs/results")
    """Folder for the results: lists with one value per seed."""

    options: str = ""
    """Options for every run, such as --options="--epochs 2" for a trial."""

    def __post_init__(self) -> None:
        check_ranges(self, {"at least 1": ("seeds", "jobs")})

    @property
    def words(self) -> tuple[str, ...]:
        """The options for every run, as words of a command line."""
        return tuple(shlex.split(self.options))

    @property
    def by_seed(self) -> list[tuple[int, Path]]:
        """Each seed, and the folder of its runs."""
        seeds = range(self.first_seed, self.first_seed + self.seeds)
        return [(seed, self.run.folder / f"seed-{seed}") for seed in seeds]

    @property
    def folders(self) -> list[Path]:
        """The folder of each seed's runs."""
        return [folder for _, folder in self.by_seed]


@dataclass(frozen=True, kw_only=True)
class Task:
    """One run of a recipe."""

    recipe: str
    folder: Path
    options: tuple[str, ...] = ()  # words of its command line except the run folder
    after: Path | None = None  # folder of the run that must be finished before
    leaves: str = "scores.json"  # the last file that a finished run leaves in its folder

    @property
    def done(self) -> bool:
        """Whether the run is finished."""
        return (self.folder / self.leaves).is_file()

    @property
    def command(self) -> str:
        """Command line of the run."""
        return shlex.join(["python", "-m", f"recipes.{self.recipe}", *self.options])


def run_all(runs: Sequence[Task], *, jobs: int) -> None:
    """Run missing runs, `jobs` at a time; interrupted runs are resumed.

    A run must be later in the list than the run it depends on. Cores are divided among the jobs,
    unless OMP_NUM_THREADS is set.

    Raises:
        ValueError: If a run failed; the message names its log and gives the last line of it.
    """
    threads = max((os.cpu_count() or 1) // jobs, 1)
    started: dict[Path, Future[None]] = {}
    with ThreadPoolExecutor(jobs) as pool:
        for run in runs:
            earlier = started.get(run.after) if run.after else None
            started[run.folder] = pool.submit(_run, run, earlier, threads)
        try:
            for future in progress_bar(started.values(), "runs", unit="run"):
                future.result()
        finally:  # after a failure, cancel the runs that have not started
            pool.shutdown(cancel_futures=True)


def _run(run: Task, earlier: Future[None] | None, threads: int) -> None:
    if earlier is not None:
        earlier.result()
    run.folder.mkdir(parents=True, exist_ok=True)
    command = run.folder / "command.txt"
    if command.is_file() and command.read_text(encoding="utf-8") != run.command:
        raise ValueError(f"{run.folder} holds a run of other settings, see {command}: delete it")
    if run.done:
        return
    write_text(command, run.command)
    resume = ["--run.resume"] if exists(checkpoints(run.folder)) else []
    words = [*run.options, "--run.dir", str(run.folder), *resume]
    log = run.folder / "console.txt"  # the run itself writes `log.txt`
    with log.open("a", encoding="utf-8") as file:
        code = subprocess.run(
            [sys.executable, "-m", f"recipes.{run.recipe}", *words],
            stdout=file,
            stderr=subprocess.STDOUT,
            env={"OMP_NUM_THREADS": str(threads), **os.environ},
            check=False,
        ).returncode
    if code or not run.done:
        last = (log.read_text(encoding="utf-8").strip().splitlines() or ["no output"])[-1]
        raise ValueError(f"{run.recipe} ended with exit code {code}, see {log}: {last}")


def make_scenes(*settings: Data) -> None:
    """Make the scenes of some data once, before several runs would."""
    for data in settings:
        for make in (train_set, test_set):
            make(data)


def read_earlier(
    path: Path, settings: Mapping[str, Any], shape: Mapping[str, Any], *, option: str
) -> dict[str, Any]:
    """Read the results of an interrupted study; empty if there are none.

    Raises:
        ValueError: If the file is damaged, or of other settings; the option names another.
    """
    if not path.is_file():
        return {}
    found = read_json(path, {**shape, "settings": dict}, remedy="delete it")
    if found["settings"] != settings:
        raise ValueError(f"{path} is of other settings: delete it, or pass another {option}")
    return found


def result(folder: Path) -> dict[str, Any]:
    """Return the content of `scores.json` of a run."""
    return read_json(folder / "scores.json", dict, remedy="delete the folder and start again")


def write_results(path: Path, results: Mapping[str, Any]) -> None:
    """Write the results of a study with the versions of libraries, and print mean and spread."""
    write_json(path, {**results, "versions": versions()})
    lists = {name: values for name, values in flat(results).items() if isinstance(values, list)}
    for name, values in lists.items():
        spread = f" +- {stdev(values):.2f}" if len(values) > 1 else ""
        print(f"{name}: {mean(values):.2f}{spread}  {[round(value, 2) for value in values]}")
    print(f"written: {path}")
