"""A picture of how time and memory grow."""

from pathlib import Path
from typing import Any

import numpy as np

TITLES = {
    "image_size": "image tokens",
    "audio_seconds": "audio tokens",
    "fusion_tokens": "fusion tokens",
    "batch": "samples",
}


def draw(found: dict[str, Any], path: Path) -> None:
    """Draw times and memory of all axes, measured as dots and fitted as lines."""
    from matplotlib.figure import Figure

    found = {fusion: axes for fusion, axes in found.items() if "error" not in axes}
    axes = list(dict.fromkeys(axis for one in found.values() for axis in one))
    figure = Figure(figsize=(3.2 * max(len(axes), 1), 5.5), layout="constrained")
    grid = figure.subplots(2, max(len(axes), 1), squeeze=False)
    for column, axis in enumerate(axes):
        for row, (name, label) in enumerate((("ms", "ms"), ("mb", "MB kept"))):
            ax = grid[row, column]
            for number, (fusion, one) in enumerate(found.items()):
                x, fit = np.array(one[axis]["x"]), one[axis][f"{name}_line"]
                ax.plot(x, one[axis][name], "o", ms=4, color=f"C{number}", label=fusion)
                ax.plot(x, fit["at_0"] + fit["by_1"] * x, lw=1, color=f"C{number}")
            ax.set(xlabel=TITLES[axis], ylabel=label, ylim=(0, None))
            ax.grid(alpha=0.3)
    grid[0, 0].legend(loc="upper left", fontsize="small")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
