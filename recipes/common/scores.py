"""Scores of a test, as a table and as `scores.json` in the run folder."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from avblocks.data.datasets import ClipSet
from avblocks.jsonfile import write_json
from avblocks.metrics import average_precision, class_accuracy
from avblocks.tasks import ClassificationScorer, Scores, tagged_rows
from recipes.common.class_figures import class_bars, confusion_figure, write_predictions
from recipes.common.columns import align
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
    write_json(folder / "scores.json", finite(content))
    print(score_table(rows) or "nothing scored: none of the test clips can be used")
    curve = "loss.png " * (folder / "loss.png").is_file()
    print(f"in {folder}: scores.json {curve}{leaves}")


def score_table(rows: Mapping[str, Mapping[str, float]]) -> str:
    """Format scores as a table, with one line per row and one column per metric."""
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    lines = [["", *names]]
    for title, row in rows.items():
        lines.append([title, *(f"{row[name]:.2f}" if name in row else "" for name in names)])
    return align(lines)


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
    """Write predictions, figures and `scores.json` of scored test clips, and print the scores."""
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
