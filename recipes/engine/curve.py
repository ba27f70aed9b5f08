"""Plot of the loss curve of a run, from its metrics file."""

import math
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from avblocks.viz import save_figure
from recipes.engine.log import Row, read_rows


def loss_curve(csv_path: Path, png_path: Path) -> None:
    """Plot the loss of each step and epoch in a `metrics.csv`, and the scores of evaluations."""
    rows = read_rows(csv_path)
    if not rows:
        raise ValueError(f"{csv_path} has no row to draw")
    scores = sorted({name for row in rows for name in row if name.startswith("eval/")})
    figure = Figure(figsize=(8, 7 if scores else 4), layout="constrained")
    axes = figure.subplots(2 if scores else 1, 1, sharex=True, squeeze=False)[:, 0]
    _draw_loss(axes[0], [row for row in rows if "loss" in row])
    for name in scores:
        points = [(row["epoch"], row[name]) for row in rows if name in row]
        axes[1].plot(*zip(*points, strict=True), "o-", ms=3, label=name.removeprefix("eval/"))
    if scores:
        axes[1].set_ylabel("evaluation")
        axes[1].legend(loc="upper left", fontsize="small")
    axes[-1].set_xlabel("epoch")
    for ax in axes:
        ax.grid(alpha=0.3)
    save_figure(figure, png_path)


def _draw_loss(ax: Axes, rows: list[Row]) -> None:
    epochs, losses = [row["epoch"] for row in rows], [row["loss"] for row in rows]
    ax.plot(epochs, losses, color="tab:blue", alpha=0.25, lw=0.8, label="each step")
    ax.plot(epochs, smooth(losses), color="tab:blue", lw=1.5, label="smoothed")
    means = epoch_means(rows)
    middles = [epoch - 0.5 for epoch in means]
    ax.plot(middles, list(means.values()), "o", ms=4, color="k", label="epoch mean")
    ax.set_ylabel("training loss")
    if rows:
        ax.legend(loc="upper right", fontsize="small")


def smooth(values: list[float], *, weight: float = 0.95) -> list[float]:
    """Return the exponential moving average of the values, with bias correction.

    >>> smooth([2.0, 2.0, 2.0])
    [2.0, 2.0, 2.0]
    """
    total = norm = 0.0
    smoothed = []
    for value in values:
        total, norm = weight * total + (1 - weight) * value, weight * norm + (1 - weight)
        smoothed.append(total / norm)
    return smoothed


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
