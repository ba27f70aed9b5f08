"""What a classification run leaves: scores.json, predictions.csv, a table, two pictures."""

import csv
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from avblocks.files import write_text
from avblocks.metrics import confusion_matrix
from avblocks.tasks.predictions import Predictions


def score_table(rows: Mapping[str, Mapping[str, float]]) -> str:
    """Lay scores out as a table: a line for each row's name, a column for each score's."""
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    lines = [["", *names]]
    for title, row in rows.items():
        lines.append([title, *(f"{row[name]:.2f}" if name in row else "" for name in names)])
    first, *widths = (max(map(len, column)) for column in zip(*lines, strict=True))
    return "\n".join(
        "  ".join([f"{title:{first}}", *(f"{c:>{w}}" for c, w in zip(cells, widths, strict=True))])
        for title, *cells in lines
    )


def write_scores(folder: Path, scores: Mapping[str, Any], *, facts: Mapping[str, Any]) -> None:
    """Write `scores.json`; a number that JSON has not (an infinite d-prime) is null there."""
    content = {**facts, "scores": scores}
    write_text(folder / "scores.json", json.dumps(_finite(content), indent=2) + "\n")


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _finite(inner) for name, inner in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_predictions(path: Path, found: Predictions, *, classes: Sequence[str]) -> None:
    """Write the classes of each clip and the five that the mean of the streams finds likeliest."""
    top = found.scores["all"].topk(min(5, len(classes)))
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        shown = range(1, top.indices.shape[1] + 1)
        table.writerow(
            ["path", "classes", *(f"{w}_{n}" for n in shown for w in ("class", "logit"))]
        )
        for clip, target, indices, values in zip(
            found.paths, found.target, top.indices, top.values, strict=True
        ):
            true = [classes[int(i)] for i in target.nonzero().flatten().tolist()]
            pairs = zip(indices.tolist(), values.tolist(), strict=True)
            cells = [cell for index, value in pairs for cell in (classes[index], f"{value:.4f}")]
            table.writerow([clip, "|".join(true), *cells])


def confusion_picture(path: Path, found: Predictions, *, classes: Sequence[str]) -> None:
    """Draw which class is taken for which, each row in shares of its clips; one class a clip."""
    from matplotlib.figure import Figure

    counts = confusion_matrix(found.scores["all"], found.target).float()
    shares = counts / counts.sum(1, keepdim=True).clamp(min=1)
    side = min(4 + 0.25 * len(classes), 16)
    figure = Figure(figsize=(side, side), layout="constrained")
    ax = figure.subplots()
    image = ax.imshow(shares.numpy(), vmin=0, vmax=1, cmap="Blues")
    if len(classes) <= 60:
        ax.set_xticks(range(len(classes)), classes, rotation=90, fontsize="small")
        ax.set_yticks(range(len(classes)), classes, fontsize="small")
    ax.set_xlabel("found")
    ax.set_ylabel("true")
    figure.colorbar(image, ax=ax, shrink=0.7, label="share of the class's clips")
    figure.savefig(path, dpi=120)


def class_bars(path: Path, values: Tensor, *, classes: Sequence[str], label: str) -> None:
    """Draw a number of each class, best first; of many classes the 30 best and 30 worst.

    Classes without a number (NaN) are left out.
    """
    from matplotlib.figure import Figure

    order = values.argsort(descending=True)
    order = order[~torch.isnan(values[order])]
    if len(order) > 60:
        order = torch.cat([order[:30], order[-30:]])
    figure = Figure(figsize=(7, 1 + 0.22 * len(order)), layout="constrained")
    ax = figure.subplots()
    ax.barh([classes[i] for i in order.tolist()], values[order].tolist(), color="tab:blue")
    ax.invert_yaxis()
    ax.set_xlabel(label)
    ax.tick_params(axis="y", labelsize="small")
    ax.grid(axis="x", alpha=0.3)
    figure.savefig(path, dpi=120)
