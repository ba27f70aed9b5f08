"""Classes over time as HTML that fits any width, light or dark."""

import csv
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from avblocks.files import TEXT
from recipes.predict.figures import class_lines

_MOST = 8  # classes that are shown


@dataclass(frozen=True)
class Classes:
    """The probability of each class in each window, from `classes.csv`.

    Attributes:
        spans: Start and end of each window, seconds.
        names: Names of the classes.
        values: Probabilities.
    """

    spans: list[tuple[float, float]]
    names: list[str]
    values: Float[Tensor, "windows classes"]

    @classmethod
    def read(cls, path: Path) -> "Classes":
        """Read the table of `recipes.predict`."""
        with path.open(**TEXT) as file:
            (_, _, *names), *rows = csv.reader(file)
        spans = [(float(start), float(end)) for start, end, *_ in rows]
        values = torch.tensor([[float(cell) for cell in row[2:]] for row in rows])
        return cls(spans, names, values)

    @property
    def edges(self) -> list[float]:
        """Times between which each window is the nearest one."""
        centers = [(start + end) / 2 for start, end in self.spans]
        middle = [(a + b) / 2 for a, b in pairwise(centers)]
        return [self.spans[0][0], *middle, self.spans[-1][1]]

    def lines(self) -> list[str]:
        """Summarize which class is most likely when."""
        return class_lines(self.values, classes=self.names, edges=self.edges)

    def overall(self) -> str:
        """Return the class with the highest mean probability, and that probability."""
        means = self.values.mean(dim=0)
        best = int(means.argmax())
        return f"{self.names[best]} ({100 * float(means[best]):.0f}%)"


def draw_timeline(classes: Classes) -> str:
    """Draw a row for each class, of many those with the highest peaks."""
    peaks = classes.values.amax(dim=0)
    rows = peaks.topk(min(_MOST, len(classes.names))).indices.tolist()
    highest = max(float(peaks.max()), 1e-6)
    edges = classes.edges
    lines = []
    for row in rows:
        cells = "".join(
            f'<i style="flex:{end - start:.3f};--p:{100 * value / highest:.0f}%" '
            f'title="{start:.1f} to {end:.1f} s: {100 * value:.0f}%"></i>'
            for (start, end), value in zip(
                pairwise(edges), classes.values[:, row].tolist(), strict=True
            )
        )
        name, peak = escape(classes.names[row]), 100 * float(peaks[row])
        lines.append(f"<dt>{name}</dt><dd><span>{cells}</span><b>{peak:.0f}%</b></dd>")
    axis = f"<dt></dt><dd><span><s>{edges[0]:.1f} s</s><s>{edges[-1]:.1f} s</s></span><b></b></dd>"
    return f'<dl class="av-timeline">{"".join(lines)}{axis}</dl>'
