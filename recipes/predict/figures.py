"""Figures of the results, and lines for the user."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from avblocks.viz import mask_overlay, plain_label, save_figure

_MOST = 20  # classes in a figure, or lines of a summary


def class_lines(
    probabilities: Float[Tensor, "windows classes"],
    *,
    classes: Sequence[str],
    edges: Sequence[float],
) -> list[str]:
    """Summarize which class is most likely when; of long videos, the most likely ones overall.

    Each window is the nearest between two of the times in `edges`, seconds.

    >>> probabilities = torch.tensor([[0.9, 0.1], [0.7, 0.3], [0.0, 1.0]])
    >>> class_lines(probabilities, classes=("dog", "cat"), edges=(0, 3, 6, 9))
    ['0.0 to 6.0 s: dog (80%)', '6.0 to 9.0 s: cat (100%)']
    """
    best = probabilities.argmax(dim=1).tolist()
    turns = [n for n in range(len(best)) if n == 0 or best[n] != best[n - 1]]
    if len(turns) > _MOST:
        top = probabilities.mean(dim=0).topk(min(5, len(classes)))
        pairs = zip(top.indices.tolist(), top.values.tolist(), strict=True)
        return [f"overall: {classes[number]} ({100 * value:.0f}%)" for number, value in pairs]
    ends = [*turns[1:], len(best)]
    means = [probabilities[a:b, best[a]].mean().item() for a, b in zip(turns, ends, strict=True)]
    return [
        f"{edges[a]:.1f} to {edges[b]:.1f} s: {classes[best[a]]} ({100 * mean:.0f}%)"
        for a, b, mean in zip(turns, ends, means, strict=True)
    ]


def draw_classes(
    path: Path,
    probabilities: Float[Tensor, "windows classes"],
    *,
    classes: Sequence[str],
    edges: Sequence[float],
) -> None:
    """Draw the probability of each class over time; of many classes, those with the highest peaks.

    The colors end at the highest probability, so that small ones can be distinguished.

    Each window is the nearest between two of the times in `edges`, seconds.
    """
    from matplotlib.figure import Figure

    rows = probabilities.amax(dim=0).topk(min(_MOST, len(classes))).indices.sort().values
    figure = Figure(figsize=(10, 1.2 + 0.25 * len(rows)), layout="constrained")
    ax = figure.subplots()
    borders = np.arange(len(rows) + 1) - 0.5
    values = probabilities[:, rows].T.numpy()
    highest = max(float(values.max()), 1e-6)
    mesh = ax.pcolormesh(edges, borders, values, vmin=0, vmax=highest, cmap="magma")
    names = [plain_label(classes[int(row)]) for row in rows]
    ax.set_yticks(range(len(names)), names, fontsize="small")
    ax.invert_yaxis()
    ax.set_xlabel("seconds")
    figure.colorbar(mesh, ax=ax, label="probability", pad=0.01)
    save_figure(figure, path)


def draw_spectrograms(
    path: Path, spectrograms: Mapping[str, Float[Tensor, "m t"]], *, start: float, seconds: float
) -> None:
    """Draw log-mel spectrograms below each other, in the color scale of the first one."""
    from matplotlib.figure import Figure

    low, high = next(iter(spectrograms.values())).quantile(torch.tensor([0.02, 0.995])).tolist()
    figure = Figure(figsize=(10, 0.4 + 1.6 * len(spectrograms)), layout="constrained")
    axes = figure.subplots(len(spectrograms), 1, sharex=True, squeeze=False)[:, 0]
    for ax, (name, powers) in zip(axes, spectrograms.items(), strict=True):
        extent = (start, start + seconds, 0, powers.shape[0])
        look = {"origin": "lower", "aspect": "auto", "cmap": "magma", "vmin": low, "vmax": high}
        ax.imshow(powers.numpy(), extent=extent, **look)
        ax.set_ylabel(f"{plain_label(name)}, mel bin")
    axes[-1].set_xlabel("seconds")
    save_figure(figure, path)


def draw_legend(path: Path, names: Mapping[int, str]) -> None:
    """Draw the colors of classes in `mask_overlay`, with their names, given by number."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4, 0.3 + 0.3 * len(names)), layout="constrained")
    ax = figure.subplots()
    ax.set_axis_off()
    for row, (number, name) in enumerate(names.items()):
        mask = torch.full((1, 1, 1), number)
        color = mask_overlay(torch.zeros(1, 3, 1, 1), mask, strength=1.0).flatten().tolist()
        ax.barh(row, 1, color=color)
        ax.text(1.2, row, plain_label(name), verticalalignment="center")
    ax.set_xlim(0, 8)
    ax.invert_yaxis()
    save_figure(figure, path)
