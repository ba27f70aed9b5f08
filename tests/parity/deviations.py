"""How far the package is from the reference's tensors: kept while the parity tests compare."""

import os
from dataclasses import dataclass

from torch import Tensor


@dataclass
class Deviation:
    """Of all the values x of one quantity."""

    tolerance: str
    values: int = 0
    largest_value: float = 0.0
    largest_deviation: float = 0.0
    percent_of_tolerance: float = 0.0

    def add(self, actual: Tensor, expected: Tensor, *, rtol: float, atol: float) -> None:
        apart, size = (actual - expected).abs(), expected.abs()
        percent = 100 * (apart / (atol + rtol * size)).max().item()
        self.values += expected.numel()
        self.largest_value = max(self.largest_value, size.max().item())
        self.largest_deviation = max(self.largest_deviation, apart.max().item())
        self.percent_of_tolerance = max(self.percent_of_tolerance, percent)


deviations: dict[str, dict[str, Deviation]] = {}
"""By golden file, which the test at work is named after, and by quantity."""


def keep(what: str, actual: Tensor, expected: Tensor, *, rtol: float, atol: float) -> None:
    file = os.environ["PYTEST_CURRENT_TEST"].partition("[")[2].partition("]")[0]
    new = Deviation(f"{atol:g} + {rtol:g} x")
    row = deviations.setdefault(file, {}).setdefault(what, new)
    row.add(actual.detach(), expected.detach(), rtol=rtol, atol=atol)
