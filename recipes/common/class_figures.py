"""Files of a test of a classifier: predictions of each clip, confusion matrix and class bars."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from avblocks.csvlog import write_csv
from avblocks.metrics import confusion_matrix
from avblocks.tasks import Predictions
from avblocks.viz import plain_label, save_figure


def write_predictions(path: Path, found: Predictions, *, classes: Sequence[str]) -> None:
    """Write the classes of each clip, and the five most likely ones by the mean of the streams."""
    top = found.scores["all"].topk(min(5, len(classes)))
    ranks = range(1, top.indices.shape[1] + 1)
    rows = []
    for clip, target, indices, values in zip(
        found.paths, found.target, top.indices, top.values, strict=True
    ):
        true = [classes[int(i)] for i in target.nonzero().flatten().tolist()]
        pairs = zip(indices.tolist(), values.tolist(), strict=True)
        cells = [cell for index, value in pairs for cell in (classes[index], f"{value:.4f}")]
        rows.append([clip, "|".join(true), *cells])
    names = [f"{what}_{rank}" for rank in ranks for what in ("class", "logit")]
    write_csv(path, ["path", "classes", *names], rows)


def confusion_figure(path: Path, found: Predictions, *, classes: Sequence[str]) -> None:
    """Draw the confusion matrix, with each row relative to its clips; one class per clip."""
    from matplotlib.figure import Figure

    counts = confusion_matrix(found.scores["all"], found.target).float()
    shares = counts / counts.sum(1, keepdim=True).clamp(min=1)
    side = min(4 + 0.25 * len(classes), 16)
    figure = Figure(figsize=(side, side), layout="constrained")
    ax = figure.subplots()
    image = ax.imshow(shares.numpy(), vmin=0, vmax=1, cmap="Blues")
    if len(classes) <= 60:
        names = [plain_label(name) for name in classes]
        ax.set_xticks(range(len(names)), names, rotation=90, fontsize="small")
        ax.set_yticks(range(len(names)), names, fontsize="small")
    ax.set_xlabel("found")
    ax.set_ylabel("true")
    figure.colorbar(image, ax=ax, shrink=0.7, label="fraction of the clips of the class")
    save_figure(figure, path)


def class_bars(path: Path, values: Tensor, *, classes: Sequence[str], label: str) -> None:
    """Draw a bar for each class, best first; of many classes, the 30 best and 30 worst.

    Classes without a value (NaN) are omitted.
    """
    from matplotlib.figure import Figure

    order = values.argsort(descending=True)
    order = order[~torch.isnan(values[order])]
    if len(order) > 60:
        order = torch.cat([order[:30], order[-30:]])
    figure = Figure(figsize=(7, 1 + 0.22 * len(order)), layout="constrained")
    ax = figure.subplots()
    ax.barh(range(len(order)), values[order].tolist(), color="tab:blue")
    ax.set_yticks(range(len(order)), [plain_label(classes[int(i)]) for i in order])
    ax.invert_yaxis()
    ax.set_xlabel(label)
    ax.tick_params(axis="y", labelsize="small")
    ax.grid(axis="x", alpha=0.3)
    save_figure(figure, path)
