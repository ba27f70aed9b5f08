"""Pictures of what was found in a video, and lines to read."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from avblocks.viz import mask_overlay, save_figure

_MOST = 20
"""Classes, or lines, that can be taken in at a glance."""


def class_lines(
    shares: Float[Tensor, "windows classes"],
    *,
    classes: Sequence[str],
    edges: Sequence[float],
) -> list[str]:
    """Say which class is likeliest when; of long videos, which ones are likeliest overall.

    Args:
        shares: Probabilities.
        classes: Names.
        edges: From when to when each window speaks, seconds.

    >>> shares = torch.tensor([[0.9, 0.1], [0.7, 0.3], [0.0, 1.0]])
    >>> class_lines(shares, classes=("dog", "cat"), edges=(0, 3, 6, 9))
    ['0.0 to 6.0 s: dog (80 %)', '6.0 to 9.0 s: cat (100 %)']
    """
    best = shares.argmax(dim=1).tolist()
    turns = [n for n in range(len(best)) if n == 0 or best[n] != best[n - 1]]
    if len(turns) > _MOST:
        top = shares.mean(dim=0).topk(min(5, len(classes)))
        pairs = zip(top.indices.tolist(), top.values.tolist(), strict=True)
        return [f"overall: {classes[number]} ({100 * share:.0f} %)" for number, share in pairs]
    ends = [*turns[1:], len(best)]
    means = [shares[a:b, best[a]].mean().item() for a, b in zip(turns, ends, strict=True)]
    return [
        f"{edges[a]:.1f} to {edges[b]:.1f} s: {classes[best[a]]} ({100 * mean:.0f} %)"
        for a, b, mean in zip(turns, ends, means, strict=True)
    ]


def class_times(
    path: Path,
    shares: Float[Tensor, "windows classes"],
    *,
    classes: Sequence[str],
    edges: Sequence[float],
) -> None:
    """Draw how likely each class is at each time; of many, those that are likeliest at some time.

    Args:
        path: The picture to write.
        shares: Probabilities.
        classes: Names.
        edges: From when to when each window speaks, seconds.
    """
    from matplotlib.figure import Figure

    rows = shares.amax(dim=0).topk(min(_MOST, len(classes))).indices.sort().values
    figure = Figure(figsize=(10, 1.2 + 0.25 * len(rows)), layout="constrained")
    ax = figure.subplots()
    places = np.arange(len(rows) + 1) - 0.5
    mesh = ax.pcolormesh(edges, places, shares[:, rows].T.numpy(), vmin=0, vmax=1, cmap="magma")
    ax.set_yticks(range(len(rows)), [classes[int(row)] for row in rows], fontsize="small")
    ax.invert_yaxis()
    ax.set_xlabel("seconds")
    figure.colorbar(mesh, ax=ax, label="probability", pad=0.01)
    save_figure(figure, path)


def sound_strips(
    path: Path, sounds: Mapping[str, Float[Tensor, "m t"]], *, start: float, seconds: float
) -> None:
    """Draw spectrograms below each other, in the first one's scale of colours.

    Args:
        path: The picture to write.
        sounds: Log-mel powers of each sound, by name.
        start: When they begin, seconds.
        seconds: How long they last.
    """
    from matplotlib.figure import Figure

    low, high = next(iter(sounds.values())).quantile(torch.tensor([0.02, 0.995])).tolist()
    figure = Figure(figsize=(10, 0.4 + 1.6 * len(sounds)), layout="constrained")
    axes = figure.subplots(len(sounds), 1, sharex=True, squeeze=False)[:, 0]
    for ax, (name, powers) in zip(axes, sounds.items(), strict=True):
        extent = (start, start + seconds, 0, powers.shape[0])
        ax.imshow(
            powers.numpy(),
            origin="lower",
            aspect="auto",
            extent=extent,
            cmap="magma",
            vmin=low,
            vmax=high,
        )
        ax.set_ylabel(f"{name}, mel bin")
    axes[-1].set_xlabel("seconds")
    save_figure(figure, path)


def legend(path: Path, names: Mapping[int, str]) -> None:
    """Draw the colours that `mask_overlay` gives to classes, with their names.

    Args:
        path: The picture to write.
        names: Of the classes, by number.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4, 0.3 + 0.3 * len(names)), layout="constrained")
    ax = figure.subplots()
    ax.set_axis_off()
    for row, (number, name) in enumerate(names.items()):
        mask = torch.full((1, 1, 1), number)
        colour = mask_overlay(torch.zeros(1, 3, 1, 1), mask, strength=1.0).flatten().tolist()
        ax.barh(row, 1, color=colour)
        ax.text(1.2, row, name, verticalalignment="center")
    ax.set_xlim(0, 8)
    ax.invert_yaxis()
    save_figure(figure, path)
