"""Classes in a video: their probabilities in each window, as a table and a figure."""

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from avblocks.csvlog import write_csv
from avblocks.data import AVBatch
from avblocks.tasks import Classification
from avblocks.video import VideoWindows, WindowBatch
from recipes.predict.figures import class_lines, draw_classes
from recipes.predict.trained import Precision, infer


def probabilities_of(
    model: Classification, batches: Iterator[WindowBatch], *, precision: Precision
) -> Tensor:
    """Return the probability of each class in each window."""

    def probabilities(batch: AVBatch) -> Tensor:
        logits = model.logits(batch).mean.float()
        return logits.sigmoid() if model.multilabel else logits.softmax(dim=1)

    found = (infer(model, probabilities, b.to_batch(), precision=precision) for b in batches)
    return torch.cat(list(found))


def write_classes(
    values: Tensor, classes: tuple[str, ...], windows: VideoWindows, folder: Path
) -> list[str]:
    """Write the probabilities as a table and a figure; return a summary, and the files' names."""
    spans = windows.spans
    rows = (
        [*(f"{time:.3f}" for time in span), *(f"{value:.4f}" for value in row)]
        for span, row in zip(spans, values.tolist(), strict=True)
    )
    write_csv(folder / "classes.csv", ["start", "end", *classes], rows)
    edges = [spans[0][0], *windows.nearest_until[:-1], spans[-1][1]]
    draw_classes(folder / "classes.png", values, classes=classes, edges=edges)
    summary = class_lines(values, classes=classes, edges=edges)
    return [*summary, f"in {folder}: classes.csv classes.png"]
