r"""Compare the speed of whole commands, such as `check_data`, with another commit.

Commands:
    python -m recipes.benchmark.data_against --commit 41bb066
    python -m recipes.benchmark.data_against --commit 41bb066 --out docs/results/data_against.json

`check_data` and `make_shards` read synthetic clips of 10 s and 360p; `paper_localize` trains the
linear head of older builds on scenes, on a new encoder. Ours trains it without augmentation, where
the encoder runs once per clip; older builds have no such option. `paper_pretrain` makes its scenes
and pre-trains on them. Use the wall time on an idle machine, and the CPU time, the sum over all
cores and processes, on a shared one.

Try:
    --cases check_data
    --cases paper_pretrain --repeats 1                             (ten minutes on two CPU cores)
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from avblocks.jsonfile import write_json
from recipes.benchmark.footage import write_footage
from recipes.benchmark.measure import in_process
from recipes.benchmark.turns import in_turn
from recipes.common.cli import run_options
from recipes.engine.log import read_rows

_DISTINCT = 4  # clips that are written; the others are copies of them
_AS_BEFORE = (
    *("--data.no-augment", "--starts", "1", "--hidden", "0", "--local", "0", "--patches", "1"),
    *("--negatives", "0", "--positives", "0", "--beta2", "0.999", "--base-lr", "0.002"),
)
"""Options of this build for the head that the scenes preset of older builds trains."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Settings."""

    commit: str | None = None
    """The other commit."""

    cases: tuple[str, ...] = ("check_data", "make_shards", "paper_localize", "paper_pretrain")
    """What to compare."""

    clips: int = 60
    """Clips to check and to pack."""

    seconds: float = 10.0
    """Length of these clips."""

    scenes: tuple[int, int] = (960, 120)
    """Training and test scenes."""

    epochs: int = 40
    """Epochs of the localizer."""

    pretrain_epochs: int = 100
    """Epochs of the pre-training."""

    repeats: int = 3
    """Pairs of runs."""

    out: Path | None = None
    """JSON file for the results."""


def main(config: Config) -> None:
    """Run both builds in turn on each case, print the results, and write them if asked to."""
    if config.commit is None or config.repeats < 1:
        raise ValueError("give the --commit to compare with, and --repeats of 1 or more")
    unknown = set(config.cases) - set(_CASES)
    if unknown:
        raise ValueError(f"--cases {' '.join(unknown)}: expected some of {' '.join(_CASES)}")
    found = {}
    with TemporaryDirectory() as folder:
        for case in config.cases:
            found[case] = _CASES[case](config, config.commit, Path(folder))
            print(case, json.dumps(found[case]["times_faster"]), flush=True)
    if config.out is not None:
        write_json(config.out, found)


def _read(
    config: Config, commit: str, folder: Path, *, recipe: str, out_option: str
) -> dict[str, Any]:
    """Run a recipe that reads a folder of videos."""
    root = _footage(config, folder)

    def words(_: str, out: Path) -> list[str]:
        return [recipe, "folder", "--data.root", str(root), out_option, str(out)]

    return in_turn(commit, words, repeats=config.repeats, amount={"clips": config.clips})


def _localize(config: Config, commit: str, folder: Path) -> dict[str, Any]:
    """Train a localizer on a frozen encoder; the scenes are made before the first measurement."""

    def words(build: str, out: Path) -> list[str]:
        sizes = ["--data.scenes", *map(str, config.scenes), "--epochs", str(config.epochs)]
        root = ["--data.root", str(folder / build), "--checkpoint", "None", "--warmup", "0"]
        head = _AS_BEFORE if build == "ours" else ()
        return ["recipes.paper_localize", "scenes", *sizes, *root, *head, "--run.dir", str(out)]

    def first(build: str, out: Path) -> list[str]:
        return [*words(build, out), "--run.max-steps", "1"]

    in_turn(commit, first, repeats=1, amount={})
    return in_turn(commit, words, repeats=config.repeats, amount={"runs": 1})


def _pretrain(config: Config, commit: str, folder: Path) -> dict[str, Any]:
    """Run the default pre-training from nothing: scenes, training, evaluations and figures."""
    length = ["--epochs", str(config.pretrain_epochs)]

    def words(_: str, out: Path) -> list[str]:
        places = ["--data.root", str(out / "scenes"), "--run.dir", str(out / "run")]
        return ["recipes.paper_pretrain", "scenes", *length, *places]

    options = {"repeats": config.repeats, "amount": {"runs": 1}}
    return in_turn(commit, words, score=_nearest_neighbor, **options)


def _nearest_neighbor(out: Path) -> dict[str, float]:
    """Read the last 1-NN accuracies of a run, in percent; builds differ in the column names."""
    rows = read_rows(out / "run" / "metrics.csv")
    found = {key.rpartition("/")[2]: value for row in rows for key, value in row.items()}
    return {name: found[name] for name in ("nn_fusion", "nn_all")}


_CASES: dict[str, Callable[[Config, str, Path], dict[str, Any]]] = {
    "check_data": partial(_read, recipe="recipes.check_data", out_option="--run.dir"),
    "make_shards": partial(_read, recipe="recipes.make_shards", out_option="--out"),
    "paper_localize": _localize,
    "paper_pretrain": _pretrain,
}


def _footage(config: Config, folder: Path) -> Path:
    """Write a few clips, once, and copy them to the number of clips."""
    root = folder / "clips"
    root.mkdir(exist_ok=True)
    for number in range(config.clips):
        path, model = root / f"{number:04d}.mp4", root / f"{number % _DISTINCT:04d}.mp4"
        if model.is_file() and not path.is_file():
            shutil.copy(model, path)
        elif not path.is_file():
            # The peak memory of a process starts at that of its parent.
            in_process(_write, path, number, config.seconds)
    return root


def _write(path: Path, number: int, seconds: float) -> dict[str, Any]:
    write_footage(path, number=number, seconds=seconds, height=360, keys=50)
    return {}


if __name__ == "__main__":
    run_options(main, Config, doc=__doc__)
