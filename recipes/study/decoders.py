"""Study: decoders of the paper and reading decoders, by probe accuracy over epochs and seconds.

For each decoder and seed: pre-training on shards of scenes with probes during the training, and a
linear probe on the encoder at the end. The runs are shorter than those of `paper_pretrain`, with
half of its batch size and less than half of its epochs.

Command:
    OMP_NUM_THREADS=1 python -m recipes.study.decoders    (three seeds: an hour on one CPU core)
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

from avblocks.data.shards import make_shards
from avblocks.jsonfile import write_json
from avblocks.tasks.probe import ROWS
from recipes.benchmark.machine import machine
from recipes.common.cli import run_cli
from recipes.common.data import SCENES_DATA, test_set, train_set
from recipes.engine.log import Row, read_rows
from recipes.engine.provenance import versions
from recipes.study.decoders_figure import draw
from recipes.study.runs import Study, Task, result, run_all

DECODERS = {
    "full": ("--model.decoder", "full", "--predict", "1"),
    "reading a third": ("--model.decoder", "reading", "--predict", "0.3333"),
    "reading all": ("--model.decoder", "reading", "--predict", "1"),
    "reading a half": ("--model.decoder", "reading", "--predict", "0.5"),
    "reading a quarter": ("--model.decoder", "reading", "--predict", "0.25"),
}
SCENES = (240, 240)
BATCH = 16
PRETRAIN = {"batch": BATCH, "epochs": 30, "warmup": 3, "base_lr": 0.0128, "evaluate_every": 6}
POINTS = tuple(f"nn_{row}" for row in (*ROWS, "all"))


@dataclass(frozen=True, kw_only=True)
class DecoderStudy(Study):
    """Settings of the study."""

    jobs: int = 1
    """Runs at a time; 1, because seconds are compared."""


PRESETS = {"study": ("three seeds of everything", DecoderStudy())}


def runs(
    folder: Path,
    *,
    seed: int,
    shards: Path | None = None,
    names: Iterable[str] = DECODERS,
    options: tuple[str, ...] = (),
) -> list[Task]:
    """List the runs of one seed: for each decoder a pre-training, and a linear probe on it."""
    common = ("--run.seed", str(seed), "--data.workers", "0")
    if shards is not None:
        common = (*common, "--data.shards", str(shards))
    sizes = [word for key, n in PRETRAIN.items() for word in (f"--{key.replace('_', '-')}", str(n))]
    listed = []
    for name in names:
        start, probe = _start(folder, name), _probe(folder, name)
        first = (*common, *DECODERS[name], *sizes, *options)
        then = (*common, "--checkpoint", str(start), "--data.no-augment")
        then = (*then, "--evaluate-every", "100")
        leaves = "reconstruction.png"
        listed += [
            Task(recipe="paper_pretrain", folder=start, options=first, leaves=leaves),
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
            scores = {name: row[f"eval/{name}"] for name in POINTS}
            points.append({"epoch": row["epoch"], **seconds, **scores})
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


def reached(curves: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, float | None]]:
    """CPU seconds until each decoder's mean probe is where that of the full decoders ends.

    Between evaluations along a line; `share` is that of the full decoders' seconds.

    >>> points = {"cpu_s": [[0, 10, 20]], "nn_fusion": [[0, 20, 40]]}
    >>> faster = {"cpu_s": [[0, 10, 20]], "nn_fusion": [[0, 60, 80]]}
    >>> reached({"full": points, "reading all": faster})["reading all"]
    {'cpu_s': 6.7, 'share': 0.33}
    """
    means = {
        name: (np.mean(figures["cpu_s"], axis=0), np.mean(figures["nn_fusion"], axis=0))
        for name, figures in curves.items()
    }
    seconds, probe = means["full"]
    found = {}
    for name, (x, y) in means.items():
        n = next((n for n in range(1, len(y)) if y[n] >= probe[-1]), None)
        until = (
            None if n is None else float(np.interp(probe[-1], y[n - 1 : n + 1], x[n - 1 : n + 1]))
        )
        share = None if until is None else round(until / float(seconds[-1]), 2)
        found[name] = {"cpu_s": None if until is None else round(until, 1), "share": share}
    return found


def main(config: DecoderStudy) -> None:
    """Run what is not done yet; write the figures after each run, and in the end draw them."""
    data = replace(SCENES_DATA, scenes=SCENES)
    clips = {"train": train_set(data), "test": test_set(data)}
    shards = config.run.folder / "shards"
    make_shards({name: some for name, some in clips.items() if some}, shards, workers=1)
    about: dict[str, Any] = {
        "machine": machine(),
        "settings": PRETRAIN | {"scenes": SCENES, "seeds": config.seeds},
    }
    numbers = {"shards": shards, "options": config.words}
    found: dict[str, Any] = {}
    for name in DECODERS:  # all seeds of a decoder, then the next: what is cut off is whole
        for seed, folder in config.by_seed:
            run_all(runs(folder, seed=seed, names=[name], **numbers), jobs=1)
            found = about | measured(config.folders) | {"versions": versions()}
            found["to_the_end_of_full"] = reached(found["curves"])
            write_json(config.out / "decoders.json", found)
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
