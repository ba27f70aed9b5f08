"""Study: the paper's decoders beside reading ones, by the probe over epochs and over seconds.

For each seed and decoder a pre-training on scenes that is probed on the way, and a linear probe on
its encoder at the end.

Command:
    OMP_NUM_THREADS=1 python -m recipes.study.decoders    (three seeds: an hour on one CPU core)
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Any

from avblocks.files import write_text
from recipes.benchmark.machine import machine
from recipes.common.cli import run_cli
from recipes.common.data import SCENES_DATA, test_set, train_set
from recipes.engine.folder import versions
from recipes.engine.log import Row, read_rows
from recipes.paper_pretrain import SCENES as PRETRAIN
from recipes.study.decoders_figure import draw
from recipes.study.runs import Study, Task, result, run_all

DECODERS = {
    "full": ("--model.decoder", "full"),
    "reading all": ("--model.decoder", "reading"),
    "reading a half": ("--model.decoder", "reading", "--predict", "0.5"),
    "reading a third": ("--model.decoder", "reading", "--predict", "0.3333"),
    "reading a quarter": ("--model.decoder", "reading", "--predict", "0.25"),
}
SCENES = (240, 240)
BATCH = PRETRAIN.batch


@dataclass(frozen=True, kw_only=True)
class DecoderStudy(Study):
    """What is run."""

    jobs: int = 1
    """Runs at a time: seconds are compared."""

    epochs: int = 40
    """Epochs of each pre-training."""

    warmup: int = 4
    """Of these, with a rising learning rate."""


PRESETS = {"study": ("three seeds of everything", DecoderStudy())}


def runs(
    folder: Path, *, seed: int, epochs: int = 40, warmup: int = 4, options: tuple[str, ...] = ()
) -> list[Task]:
    """List the runs of one seed."""
    common = ("--run.seed", str(seed), "--data.scenes", *map(str, SCENES), "--data.workers", "1")
    length = ("--epochs", str(epochs), "--warmup", str(warmup), "--evaluate-every", "5")
    listed = []
    for name, words in DECODERS.items():
        start, probe = _start(folder, name), _probe(folder, name)
        first = (*common, *words, *length, *options)
        then = (*common, "--checkpoint", str(start), "--data.no-augment")
        then = (*then, "--evaluate-every", "100")
        listed += [
            Task(recipe="paper_pretrain", folder=start, options=first, leaves="reconstruction.png"),
            Task(recipe="paper_linear_probe", folder=probe, options=then, after=start),
        ]
    return listed


def curve(folder: Path) -> list[Row]:
    """Read the evaluations of a pre-training, each with the seconds of the steps before it."""
    points, cpu, wall = [], 0.0, 0.0
    for row in read_rows(folder / "metrics.csv"):
        if "loss" in row:
            cpu += row["cpu_s"]
            wall += BATCH / row["samples_per_s"]
        elif "eval/nn_all" in row:
            seconds = {"cpu_s": round(cpu, 1), "wall_s": round(wall, 1)}
            points.append({"epoch": row["epoch"], "nn_all": row["eval/nn_all"], **seconds})
    return points


def measured(folders: Sequence[Path]) -> dict[str, Any]:
    """Collect what is measured so far: lists with an entry for each finished seed, in order."""
    found: dict[str, Any] = {"linear_probe": {}, "curves": {}}
    for name in DECODERS:
        done = [f for f in folders if (_probe(f, name) / "scores.json").is_file()]
        if not done:
            continue
        scores = [result(_probe(f, name))["scores"]["both"]["all"]["top1"] for f in done]
        found["linear_probe"][name] = scores
        curves = [curve(_start(f, name)) for f in done]
        found["curves"][name] = {
            key: [[point[key] for point in points] for points in curves] for key in curves[0][0]
        }
    return found


def main(config: DecoderStudy) -> None:
    """Run what is not done yet; write the figures after each run, and in the end draw them."""
    data = replace(SCENES_DATA, scenes=SCENES)
    for make in (train_set, test_set):  # once, before several runs would
        make(data)
    about = {"epochs": config.epochs, "warmup": config.warmup, "scenes": SCENES}
    numbers = {"epochs": config.epochs, "warmup": config.warmup, "options": config.options}
    seeds = [runs(folder, seed=n, **numbers) for n, folder in enumerate(config.folders)]
    for task in [task for listed in seeds for task in listed]:
        run_all([task], jobs=1)
        found = measured(config.folders)
        if found["curves"]:
            content = {"machine": machine(), **about, **found, "versions": versions()}
            write_text(config.out / "decoders.json", json.dumps(content, indent=1) + "\n")
    draw(found["curves"], config.out / "decoders.png")
    for name, scores in found["linear_probe"].items():
        print(f"{name}: {mean(scores):.1f}  {[round(score, 1) for score in scores]}")


def _start(folder: Path, name: str) -> Path:
    return folder / name.replace(" ", "-")


def _probe(folder: Path, name: str) -> Path:
    start = _start(folder, name)
    return start.with_name(f"{start.name}-probe")


if __name__ == "__main__":
    run_cli(main, presets=PRESETS, doc=__doc__)
