r"""Study: what becomes of runs that are stopped, killed, starved, or fed with bad files.

Each experiment spoils runs of `paper_pretrain`, in processes of their own, in one way, and counts
what becomes of them: a file beside this one for each theme. What a run comes to after it
was spoilt is compared bit for bit with a run that nothing happened to.

Commands:
    python -m tests.reliability.measure                         (a quarter of an hour on two cores)
    python -m tests.reliability.measure --only kill slurm

Stopped, the study goes on with the experiments that are not done. As root it fills a disk of its
own; else it sets a limit to the size of files.
"""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from avblocks.files import write_text
from recipes.benchmark.machine import machine
from recipes.common.cli import run_cli
from recipes.engine.run import Folder
from recipes.study.runs import write_results
from tests.reliability.experiments import Figures, experiments
from tests.reliability.runs import Bench, prepare


@dataclass(frozen=True, kw_only=True)
class Config:
    """What is done."""

    run: Folder = field(default_factory=Folder)
    """Folder of all the runs."""

    kills: int = 20
    """How often a run is killed."""

    jobs: int = 2
    """Experiments at a time."""

    only: tuple[str, ...] = ()
    """Names of the experiments to do; all of them if none is given."""

    out: Path = Path("docs/results/reliability.json")
    """Where the figures go, once all experiments are done."""


PRESETS = {"study": ("every experiment", Config())}


def main(config: Config) -> None:
    """Do the experiments that are not done yet, then write the figures.

    Raises:
        ValueError: If an experiment did not end as promised; the figures are written all the same.
    """
    known = experiments(kills=config.kills)
    unknown = [name for name in config.only if name not in known]
    if config.jobs < 1 or config.kills < 1 or unknown:
        names = ", ".join(known)
        raise ValueError(f"expected --jobs and --kills of at least 1, and --only some of: {names}")
    folder, about = config.run.folder.resolve(), machine()
    bench = prepare(folder)
    with ThreadPoolExecutor(config.jobs) as pool:
        wanted = config.only or tuple(known)
        results = pool.map(lambda name: _done(name, bench, known[name].run), wanted)
        found = dict(zip(wanted, tqdm(results, "experiments", len(wanted)), strict=True))
    print(json.dumps(found, indent=2))
    if set(wanted) == set(known):
        write_results(config.out, {**flat(found), "machine": about})
    wrong = [name for name, figures in found.items() if not known[name].right(figures)]
    if wrong:
        raise ValueError(f"not as promised: {', '.join(wrong)}; their runs are in {folder}")


def _done(name: str, bench: Bench, run: Any) -> Figures:
    """Do an experiment, unless its figures are there."""
    figures = bench.folder / f"{name}.json"
    if not figures.is_file():
        own = replace(bench, folder=bench.folder / name)
        shutil.rmtree(own.folder, ignore_errors=True)
        own.folder.mkdir()
        write_text(figures, json.dumps(run(own)))
    return json.loads(figures.read_text(encoding="utf-8"))


def flat(found: dict[str, Figures]) -> dict[str, Any]:
    """Return the figures as they are kept: those asked for most have names of their own."""
    kills, stops = found["kill"], found["resume"].values()
    counted = ("stops", "identical")
    return {
        "kills": kills["kills"],
        "kills_survived": kills["survived"],
        "kills_while_saving": kills["saving"],
        "resume_bitwise": {name: sum(case[name] for case in stops) for name in counted},
        **found,
    }


if __name__ == "__main__":
    run_cli(main, presets=PRESETS, doc=__doc__)
