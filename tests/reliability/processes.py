"""Two processes against one with the same global batch: losses, weights, and all metrics."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from recipes.engine.log import read_rows
from tests.reliability.runs import CLIPS, Bench, rows, state, train

Strategy = Literal["ddp", "fsdp"]
STRATEGIES: tuple[Strategy, ...] = ("ddp", "fsdp")
_STEPS = 12


@dataclass(frozen=True)
class Tested:
    """A recipe that is tested on held-out clips.

    Attributes:
        preset: Its preset for the layout.
        words: Its options.
        alike: Whether its model has no batch statistics. On CPUs those follow the batch of one
            process, and so scores after training differ; before training they do not.
    """

    preset: str
    words: tuple[str, ...]
    alike: bool = True

    def options(self, bench: Bench, *, batch: int) -> tuple[str, ...]:
        """The options of a run that hardly moves the weights."""
        words = [word.replace("CLIPS", str(bench.clips)) for word in self.words]
        common = ("--checkpoint", "None", "--epochs", "1", "--warmup", "0", "--base-lr", "1e-12")
        workers = ("--data.workers", "0", "--batch", str(batch))
        return (*words, *common, *workers)


TESTED = {
    "paper_linear_probe": Tested("vggsound", ("--data.root", "CLIPS"), alike=False),
    "paper_finetune": Tested("vggsound", ("--data.root", "CLIPS")),
    "paper_localize": Tested(  # which norms over batches only where the encoder is frozen
        "scenes",
        ("--data.name", "vggss", "--data.root", "CLIPS", "--no-frozen", "--positives", "0"),
    ),
    "paper_separate": Tested(
        "scenes", ("--data.name", "vggsound", "--data.root", "CLIPS"), alike=False
    ),
    "paper_segment": Tested(
        "scenes",
        ("--data.name", "avsbench_avss", "--data.root", "CLIPS/avsbench", "--width", "8"),
        alike=False,
    ),
}
"""The recipes whose metrics are compared; `paper_pretrain` brings its probe."""


def training(bench: Bench, strategy: Strategy) -> dict[str, float]:
    """Pre-train with one process and with two, on the same global batches.

    Returns:
        Largest differences over all steps of the `loss` and of the probe's scores (`probe`, per
        cent), and at the end of the `weights`.
    """
    words = ("--data.root", str(bench.clips), "--epochs", "20", "--run.max-steps", str(_STEPS))
    one, two = bench.folder / "one", bench.folder / f"two-{strategy}"
    if not one.is_dir():
        train(one, *words, "--batch", "4")
    train(two, *words, "--batch", "2", "--run.devices", "2", "--run.strategy", strategy)
    losses = [[row["loss"] for row in rows(folder)] for folder in (one, two)]
    weights = [state(folder)["state_dict"] for folder in (one, two)]
    probes = [_evaluated(folder) for folder in (one, two)]
    return {
        "loss": _largest(abs(a - b) for a, b in zip(*losses, strict=True)),
        "probe": max(_apart(*pair) for pair in zip(*probes, strict=True)),
        "weights": _largest(float((weights[0][n] - weights[1][n]).abs().max()) for n in weights[0]),
    }


def metrics(bench: Bench, recipe: str, strategy: Strategy) -> dict[str, float]:
    """Test a recipe's model with one process and with two, on clips that they share unequally.

    Returns:
        How many `scores` were compared, and the largest difference (`apart`).
    """
    tested = TESTED[recipe]
    one, two = bench.folder / f"{recipe}-one", bench.folder / f"{recipe}-{strategy}"
    for folder, batch, words in (
        (one, 4, ()),
        (two, 2, ("--run.devices", "2", "--run.strategy", strategy)),
    ):
        if not folder.is_dir():
            options = tested.options(bench, batch=batch)
            train(folder, *words, module=f"recipes.{recipe}", preset=tested.preset, options=options)
    found = [_evaluated(folder)[0] for folder in (one, two)]
    if tested.alike:
        found = [read | _scores(folder) for read, folder in zip(found, (one, two), strict=True)]
    return {"scores": len(found[0]), "apart": _apart(*found)}


def unequal(bench: Bench) -> dict[str, float]:
    """Test with two processes, one of which has a batch more than the other.

    Returns:
        The `clips`, and how many of them were `tested` for the scores.
    """
    folder, tested = bench.folder / "unequal", TESTED["paper_finetune"]
    options = (*tested.options(bench, batch=2), "--run.devices", "2")
    train(folder, module="recipes.paper_finetune", preset=tested.preset, options=options)
    return {"clips": CLIPS, "tested": int(_scores(folder)["clips"])}


def _evaluated(folder: Path) -> list[dict[str, float]]:
    """What each evaluation measured."""
    read = [
        {name: value for name, value in row.items() if name.startswith("eval/")}
        for row in read_rows(folder / "metrics.csv")
    ]
    return [row for row in read if row]


def _scores(folder: Path) -> dict[str, float]:
    """All numbers of scores.json, the counts of clips among them, by where they are."""
    found = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
    return _flat(found, "")


def _flat(found: dict[str, Any], prefix: str) -> dict[str, float]:
    flat = {}
    for name, value in found.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        elif isinstance(value, int | float):
            flat[prefix + name] = float(value)
    return flat


def _apart(one: dict[str, float], two: dict[str, float]) -> float:
    """Largest difference; infinite if they do not have the same numbers."""
    if one.keys() != two.keys() or not one:
        return float("inf")
    return _largest(abs(one[name] - two[name]) for name in one if one[name] == one[name])


def _largest(values: Iterable[float]) -> float:
    return float(f"{max(values):.2g}")
