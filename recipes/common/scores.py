"""Files and tables that a test writes to the run folder."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from avblocks.csvlog import write_csv
from avblocks.data.datasets import ClipSet
from avblocks.files import write_text
from avblocks.metrics import average_precision, class_accuracy, confusion_matrix
from avblocks.tasks import ClassificationScorer, Predictions, Scores, tagged_rows
from avblocks.viz import plain_label, save_figure
from recipes.common.data import labels_by_modality
from recipes.common.settings import ClassifyConfig


def write_scores(
    folder: Path,
    rows: Scores,
    *,
    test: ClipSet,
    leaves: str,
    **facts: Any,
) -> None:
    """Write `scores.json`, and print the scores as a table.

    Numbers that JSON lacks, such as an infinite d-prime, become null. `scores.json` is the last
    file of a run, and marks it as complete.

    Args:
        folder: Run folder.
        rows: Scores by row and metric.
        test: Test clips.
        leaves: Names of the other files that the test wrote, for the message.
        **facts: Further values, or `scores` in another nesting than by row.
    """
    content = {"test": test.report(), "scores": rows, **facts}
    write_text(folder / "scores.json", json.dumps(finite(content), indent=2) + "\n")
    print(score_table(rows) or "nothing scored: none of the test clips can be used")
    curve = "loss.png " * (folder / "loss.png").is_file()
    print(f"in {folder}: scores.json {curve}{leaves}")


def score_table(rows: Mapping[str, Mapping[str, float]]) -> str:
    """Format scores as a table, with one line per row and one column per metric."""
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    lines = [["", *names]]
    for title, row in rows.items():
        lines.append([title, *(f"{row[name]:.2f}" if name in row else "" for name in names)])
    first, *widths = (max(map(len, column)) for column in zip(*lines, strict=True))
    return "\n".join(
        "  ".join([f"{title:{first}}", *(f"{c:>{w}}" for c, w in zip(cells, widths, strict=True))])
        for title, *cells in lines
    )


def finite(value: Any) -> Any:
    """Replace numbers that JSON lacks by null."""
    if isinstance(value, Mapping):
        return {name: finite(inner) for name, inner in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def brief(scores: Scores) -> dict[str, float]:
    """Return the first metric of each stream, such as `top1_fusion`."""
    return {
        f"{name}_{title.rpartition(' ')[2]}": value
        for title, row in scores.items()
        for name, value in list(row.items())[:1]
    }


def write_classes(
    folder: Path, scorer: ClassificationScorer, *, test: ClipSet, config: ClassifyConfig
) -> None:
    """Write predictions, figures and `scores.json` of a classifier, and print the scores.

    Args:
        folder: Run folder.
        scorer: Has scored the test clips.
        test: The test clips.
        config: Settings of the run.
    """
    found, multilabel = next(iter(scorer.predictions.values()), None), scorer.task.multilabel
    multilabel |= found is not None and bool((found.target.sum(dim=1) != 1).any())
    if found is not None:
        each = average_precision if multilabel else class_accuracy
        label = "average precision, %" if multilabel else "accuracy, %"
        values = 100 * each(found.scores["all"], found.target)
        write_predictions(folder / "predictions.csv", found, classes=test.classes)
        class_bars(folder / "classes.png", values, classes=test.classes, label=label)
        if not multilabel:
            confusion_figure(folder / "confusion.png", found, classes=test.classes)
    labels = labels_by_modality(config.data)
    tagged = tagged_rows(scorer.predictions, labels) if found and labels else {}
    write_scores(
        folder,
        {**scorer.rows, **first_sets(tagged)},
        test=test,
        leaves="predictions.csv classes.png" + " confusion.png" * (not multilabel),
        clips=len(found.paths) if found else 0,
        windows=config.windows,
        scores=scorer.streams,
        **({"labels_by_modality": tagged} if tagged else {}),
    )


def first_sets(rows: Scores) -> dict[str, dict[str, float]]:
    """Select the columns to print of `tagged_rows`: those of the first class, and of confusion."""
    return {
        title: {name: value for name, value in row.items() if name.partition("@")[2] in ("", "1")}
        for title, row in rows.items()
    }


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
