"""`Row`: one measurement of a GPU session; the list is in order of priority."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from functools import partial
from typing import Any

import torch

from recipes.benchmark.cases import Case
from recipes.benchmark.gpu.attention import kernels, kernels_line
from recipes.benchmark.gpu.precision import precision, precision_line
from recipes.benchmark.gpu.runs import predicted, predicted_line, pretrained, pretrained_line
from recipes.benchmark.gpu.step import measured_step, step_line
from recipes.benchmark.gpu.suite import tests, tests_line
from recipes.benchmark.measure import guarded, measured, peak, short, timed, where
from recipes.benchmark.recipe import whole

_SECONDS, _TINY_SECONDS = 3.0, 0.1  # time for the repetitions of a step
_PATIENCE = 3  # multiple of the estimate after which a row is stopped


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of the session."""

    name: str
    seconds: float  # estimated, on an H100; a row is not begun with less time left
    measure: Callable[[], dict[str, Any]]
    line: Callable[[dict[str, Any]], str]  # what was found, in words
    case: Case | None = None  # what the table of cases has a row for
    most: float | None = None  # seconds after which it is stopped; 3 times the estimate if not set
    fresh: bool = False  # whether it needs a new process, as it starts others itself
    cuda: bool = False  # whether the CPU cannot do it

    @property
    def limit(self) -> float:
        """Seconds after which the row is stopped."""
        return _PATIENCE * self.seconds if self.most is None else self.most


def rows(device: str, *, tiny: bool) -> list[Row]:
    """List all rows in order of priority."""
    step = Case(task="pretrain", batch=256, precision="bfloat16", mode="blocks")
    eager = replace(step, mode="eager", plain=True)
    reading = replace(step, decoder="reading")
    shared = {"device": device, "tiny": tiny}
    found = [
        _row("machine", 20, partial(machine, device, tiny), machine_line),
        _row("tests", 90, partial(tests, device, 115), tests_line, most=120),
        _row("precision", 20, partial(precision, device, tiny), precision_line),
        _case(step, 50),
        _case(reading, 40),
        _case(replace(eager, task="backward", fusion="dense", batch=128), 20),
        _case(replace(eager, task="backward", batch=128), 20),
        _case(replace(eager, task="encode", fusion="dense", batch=64), 15),
        _row("attention", 20, partial(kernels, device, tiny), kernels_line),
        _case(replace(step, batch=512), 35),
        _case(Case(task="recipe", batch=128, precision="bfloat16"), 75),
        _row("predict", 50, partial(predicted, device, tiny), predicted_line, fresh=True),
        _row("pretraining", 80, partial(pretrained, device, tiny), pretrained_line, fresh=True),
        # The remaining time is for rows with long compilation, and for others.
        _case(replace(reading, predict=1 / 3), 40),
        *(_case(replace(step, batch=batch), 35) for batch in (64, 128)),
        _case(replace(step, batch=64, mode="graphs"), 120, cuda=True),
        _case(replace(step, mode="compiled"), 120),
        *(_case(replace(step, fusion=fusion), 45) for fusion in ("dense", "token")),
    ]
    return [_placed(row, **shared) for row in found]


def chosen_rows(found: list[Row], patterns: tuple[str, ...]) -> list[Row]:
    """Select the rows that match a pattern; each pattern must match a row."""
    for pattern in patterns:
        if not any(fnmatch(row.name, pattern) for row in found):
            names = "; ".join(row.name for row in found)
            raise ValueError(f"--rows {pattern!r} fits none of: {names}")
    return [row for row in found if any(fnmatch(row.name, p) for p in patterns)]


def _row(name: str, seconds: float, measure: Any, line: Any, **options: Any) -> Row:
    return Row(name=name, seconds=seconds, measure=measure, line=line, **options)


def _case(case: Case, seconds: float, **options: Any) -> Row:
    fresh = case.task == "recipe"
    return _row("", seconds, dict, step_line, case=case, fresh=fresh, **options)


def _placed(row: Row, *, device: str, tiny: bool) -> Row:
    """Set the device of the case of a row, if it has one, and a batch of 2 for a toy."""
    if row.case is None:
        return row
    case = replace(row.case, device=device, tiny=tiny)
    seconds = _TINY_SECONDS if tiny else _SECONDS
    batch = {"batch": 2} if tiny else {}
    functions = {"recipe": partial(whole, call=guarded), "pretrain": measured_step}
    measure = partial(functions.get(case.task, measured), replace(case, **batch), seconds)
    return replace(row, name=case.name, case=case, measure=measure)


def machine(device: str, tiny: bool) -> dict[str, Any]:
    """Describe the machine, and measure its peak of matrix products and of memory copies."""
    case = Case(task="pretrain", precision="bfloat16", device=device, tiny=tiny)
    source = torch.randn(1_000_000 if tiny else 1_000_000_000, device=device)
    target = torch.empty_like(source)
    best = min(timed(lambda: target.copy_(source), device, count=5) for _ in range(3))
    bytes_moved = 2 * source.numel() * source.element_size()
    ceilings = {"tflops": short(peak(case) / 1e12), "copy_gb_s": short(bytes_moved / best / 1e9)}
    return where(device) | ceilings


def machine_line(row: dict[str, Any]) -> str:
    """Format the machine and its peaks as a line."""
    return (
        f"{row['machine']}, torch {row['torch']}: {row['tflops']:.3g} TFLOP/s in bfloat16, "
        f"{row['copy_gb_s']:.0f} GB/s copied"
    )
