"""`Row`: one measurement of a GPU session; the list is in order of priority."""

from collections.abc import Callable
from dataclasses import dataclass, replace
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


@dataclass(frozen=True)
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
    same: dict[str, Any] = {"precision": "bfloat16", "device": device, "tiny": tiny}
    step = Case(task="pretrain", batch=256, mode="blocks", **same)
    eager = replace(step, mode="eager", plain=True)
    reading = replace(step, decoder="reading")
    return [
        Row("machine", 20, partial(machine, device, tiny), machine_line),
        Row("tests", 90, partial(tests, device, 115), tests_line, most=120),
        Row("precision", 20, partial(precision, device, tiny), precision_line),
        _of_case(step, 50),
        _of_case(reading, 40),
        _of_case(replace(eager, task="backward", fusion="dense", batch=128), 20),
        _of_case(replace(eager, task="backward", batch=128), 20),
        _of_case(replace(eager, task="encode", fusion="dense", batch=64), 15),
        Row("attention", 20, partial(kernels, device, tiny), kernels_line),
        _of_case(replace(step, batch=512), 35),
        _of_case(Case(task="recipe", batch=128, **same), 75),
        Row("predict", 50, partial(predicted, device, tiny), predicted_line, fresh=True),
        Row("pretraining", 80, partial(pretrained, device, tiny), pretrained_line, fresh=True),
        # The remaining time is for rows with long compilation, and for others.
        _of_case(replace(reading, predict=1 / 3), 40),
        *(_of_case(replace(step, batch=batch), 35) for batch in (64, 128)),
        _of_case(replace(step, batch=64, mode="graphs"), 120, cuda=True),
        _of_case(replace(step, mode="compiled"), 120),
        *(_of_case(replace(step, fusion=fusion), 45) for fusion in ("dense", "token")),
    ]


def _of_case(case: Case, seconds: float, *, cuda: bool = False) -> Row:
    """Make the row of a case; of a toy, with a batch of 2."""
    small = replace(case, batch=2) if case.tiny else case
    functions = {"recipe": partial(whole, call=guarded), "pretrain": measured_step}
    function = functions.get(case.task, measured)
    measure = partial(function, small, _TINY_SECONDS if case.tiny else _SECONDS)
    fresh = case.task == "recipe"
    return Row(case.name, seconds, measure, step_line, case=case, fresh=fresh, cuda=cuda)


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
