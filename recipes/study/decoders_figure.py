"""Figure of the decoder study: probe accuracy over epochs and over CPU seconds."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from avblocks.viz import save_figure

AXES = {"epoch": "epoch", "cpu_s": "CPU seconds of training steps"}


def draw(curves: Mapping[str, Mapping[str, Sequence[Sequence[float]]]], path: Path) -> None:
    """Plot the probe accuracy of each decoder: seeds as thin lines, their mean as a thick line.

    `curves` has, by decoder and figure (`epoch`, `cpu_s`, `nn_fusion`), the points of each seed.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    panels = figure.subplots(1, len(AXES), sharey=True)
    for ax, (key, label) in zip(panels, AXES.items(), strict=True):
        for number, (name, figures) in enumerate(curves.items()):
            x, y = np.array(figures[key]), np.array(figures["nn_fusion"])
            ax.plot(x.T, y.T, color=f"C{number}", lw=0.6, alpha=0.5)
            ax.plot(x.mean(0), y.mean(0), "o-", ms=3, color=f"C{number}", label=name)
        ax.set_xlabel(label)
        ax.grid(alpha=0.3)
    panels[0].set_ylabel("1-NN accuracy of the fusion tokens, %")
    panels[0].legend(loc="lower right", fontsize="small")
    save_figure(figure, path)
