"""Plot of the loss curve of a run, from its metrics file."""

import math
import re
from itertools import accumulate
from pathlib import Path

from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from avblocks.viz import save_figure
from recipes.engine.log import Row, read_rows

_UNITS = {
    r"(nn|top\d+|map|ciou|success)_?.*": "%",
    r"(si_)?(sdr|sir|sar).*": "dB",
    r"(miou|fscore)_.*": "from 0 to 1",
    r"(not_)?scored|silent_.*": "mixtures",
}
"""Units of evaluations by their names."""


def loss_curve(csv_path: Path, png_path: Path) -> None:
    """Plot the loss of each step and epoch in a `metrics.csv`, and the evaluations by unit."""
    rows = read_rows(csv_path)
    if not rows:
        raise ValueError(f"{csv_path} has no row to draw")
    scores = sorted({name for row in rows for name in row if name.startswith("eval/")})
    units = list(dict.fromkeys(unit_of(name) for name in scores))
    figure = Figure(figsize=(8, 4 + 3 * len(units)), layout="constrained")
    axes = figure.subplots(1 + len(units), 1, sharex=True, squeeze=False)[:, 0]
    _draw_loss(axes[0], [row for row in rows if "loss" in row])
    for ax, unit in zip(axes[1:], units, strict=True):
        for name in (name for name in scores if unit_of(name) == unit):
            points = [(row["epoch"], row[name]) for row in rows if name in row]
            ax.plot(*zip(*points, strict=True), "o-", ms=3, label=name.removeprefix("eval/"))
        ax.set_ylabel(f"evaluation, {unit}" if unit else "evaluation")
        ax.legend(loc="upper left", fontsize="small")
    axes[-1].set_xlabel("epochs")
    for ax in axes:
        ax.grid(alpha=0.3)
    save_figure(figure, png_path)


def unit_of(name: str) -> str:
    """Return the unit of an evaluation, or "" if it is not known.

    >>> unit_of("eval/top1_fusion"), unit_of("eval/si_sdr"), unit_of("eval/mean")
    ('%', 'dB', '')
    """
    short = name.removeprefix("eval/")
    return next((unit for pattern, unit in _UNITS.items() if re.fullmatch(pattern, short)), "")


def _draw_loss(ax: Axes, rows: list[Row]) -> None:
    # A step's loss is that of its clips: half a step before its end.
    epochs = [row["epoch"] * (1 - 0.5 / row["step"]) for row in rows]
    losses = [row["loss"] for row in rows]
    ax.plot(epochs, losses, color="tab:blue", alpha=0.25, lw=0.8, label="each step")
    ax.plot(epochs, smooth(losses), color="tab:blue", lw=1.5, label="smoothed")
    means = epoch_means(rows)
    middles, ink = [epoch - 0.5 for epoch in means], rcParams["text.color"]
    ax.plot(middles, list(means.values()), "o", ms=4, color=ink, label="epoch mean")
    ax.set_ylabel("training loss, mean of a batch")
    if rows:
        ax.legend(loc="upper right", fontsize="small")


def smooth(values: list[float], *, share: float = 0.05) -> list[float]:
    """Return the mean over a window around each value, which is narrower at both ends.

    The windows are symmetric, so that the curve does not lag: of a line, it is that line.

    Args:
        values: The values.
        share: Width of a window, relative to the number of values.

    >>> smooth([4.0, 3.0, 2.0, 1.0], share=0.75)
    [4.0, 3.0, 2.0, 1.0]
    """
    last, half = len(values) - 1, max(round(share * len(values) / 2), 1)
    sums = [0.0, *accumulate(values)]
    reach = [min(half, index, last - index) for index in range(len(values))]
    return [(sums[index + r + 1] - sums[index - r]) / (2 * r + 1) for index, r in enumerate(reach)]


def epoch_means(rows: list[Row]) -> dict[int, float]:
    """Return the mean training loss of each epoch, counted from 1.

    >>> epoch_means([{"epoch": 0.5, "loss": 3.0}, {"epoch": 1.0, "loss": 1.0}])
    {1: 2.0}
    """
    losses: dict[int, list[float]] = {}
    for row in rows:
        if "loss" in row:
            # The step that ends an epoch is at an integer and belongs to that epoch.
            losses.setdefault(math.ceil(row["epoch"]), []).append(row["loss"])
    return {epoch: sum(values) / len(values) for epoch, values in losses.items()}
