r"""Measure speed, memory and scaling of the models.

Commands:
    python -m recipes.benchmark                               (twenty-five minutes, two idle cores)
    python -m recipes.benchmark --out docs/results/performance.json
    python -m recipes.benchmark cases --cases 'pretrain dense*' 'encode*'
    python -m recipes.benchmark scaling
    python -m recipes.benchmark gpu --minutes 9 --out docs/results/performance.json    (on a GPU)
    python -m recipes.benchmark gpu --smoke                  (toy sizes on the CPU, minutes)

A case is a step of ViT-B at the paper's sizes: `pretrain` (masks, forward and backward pass,
AdamW), `backward` (the same without AdamW), `encode` (the tokens of whole clips, no gradients),
`finetune` (whole clips, 309 classes) or `recipe` (all of `paper_pretrain`, on generated shards).
`bfloat16` is mixed precision. Each case runs in a separate process: two warm-up steps, then as many
as fit in `--seconds`; the median is reported. FLOPs are counted from the sizes (`avblocks.flops`),
and the peak is that of a large matrix product of the same precision, measured before and after.
Memory is that of tensors on a GPU, and of the whole process on the CPU. `plain` is a naive
implementation of the same model, measured in alternating steps, so that other load on the machine
affects both.

`gpu` is a session for a GPU that is available for minutes: tests that need a GPU, losses in half
precision, the step of pre-training with its synchronizations and slowest kernels, the plain
implementation, attention kernels, whole recipes. The most important rows come first. Each row is
written as soon as it is measured, and rows that do not fit into the time are marked. `gpu.sh`
beside this file carries the packages that a machine without network lacks.

Try:
    --seconds 60 (less noise)
    --profile (where the time goes)
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch

from recipes.benchmark import table
from recipes.benchmark.cases import Case, cases, matching
from recipes.benchmark.gpu import session
from recipes.benchmark.measure import in_process, measured, profiled
from recipes.benchmark.recipe import whole
from recipes.benchmark.scaling import draw, scaling
from recipes.common.cli import run_cli
from recipes.engine.ranges import check_ranges


@dataclass(frozen=True, kw_only=True)
class Config:
    """Settings."""

    cases: tuple[str, ...] = ("*",)
    """Patterns of the names of cases; no cases without a pattern."""

    scaling: bool = True
    """Measure the scaling of time and memory."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Device; it also determines the list of cases."""

    seconds: float = 12.0
    """Time for the repetitions of each case; at least three repetitions."""

    profile: bool = False
    """Also profile a step of each case."""

    tiny: bool = False
    """Use a toy model, for a smoke test."""

    out: Path | None = None
    """JSON file for the results; the figure of the scaling is written to the same folder."""


ALL = Config()
PRESETS = {
    "default": ("cases and scaling of this machine", ALL),
    "cases": ("cases alone", replace(ALL, scaling=False)),
    "scaling": ("scaling alone", replace(ALL, cases=())),
    "smoke": ("a toy model, in seconds", replace(ALL, tiny=True, seconds=0.1)),
    "gpu": ("all GPU benchmarks, in a few minutes", session.Config()),
}


def main(config: Config | session.Config) -> None:
    """Measure cases and scaling, or run the GPU session."""
    if isinstance(config, session.Config):
        session.session(config)
    else:
        benchmark(config)


def benchmark(config: Config) -> None:
    """Measure case by case, print the table, and write the results if `--out` is given."""
    check_ranges(config, {"above 0 and below 3600": ("seconds",)})
    device = config.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("--device cuda: torch finds no GPU here")
    if config.out is not None:
        table.read(config.out)  # or it would be found unfit after the first case
    found = {case.name: case for case in cases(device, tiny=config.tiny)}
    rows = {}
    print(table.head(), flush=True)
    for name in matching(found, config.cases):
        case = found[name]
        rows[name] = table.against_reference(case, _measured(case, config))
        print(table.printed(name, rows[name]), flush=True)
        if config.profile and case.task != "recipe":
            print(in_process(profiled, case).get("table"), flush=True)
        _write(config, device, rows)
    growth = scaling(device, tiny=config.tiny) if config.scaling else {}
    for name, line in table.lines(growth).items():
        print(f"{name}: {', '.join(f'{key} {value}' for key, value in line.items())}")
    _write(config, device, rows, growth)


def _measured(case: Case, config: Config) -> dict[str, Any]:
    about = {"device": case.device, "precision": case.precision, "batch": case.batch}
    if case.task == "recipe":
        return about | whole(case, config.seconds)
    return about | in_process(measured, case, config.seconds)


def _write(config: Config, device: str, rows: dict, growth: dict | None = None) -> None:
    if config.out is None:
        return
    table.write(config.out, device=device, rows=rows, growth=growth)
    if growth:
        draw(growth, config.out.with_name(f"{config.out.stem}-scaling-{device}.png"))


if __name__ == "__main__":
    run_cli(main, presets=PRESETS, doc=__doc__)
