"""Classification of a video: the probability of each class in each window."""

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from avblocks.data import AVBatch
from avblocks.files import write_csv
from avblocks.tasks import Classification
from avblocks.video import VideoWindows, WindowBatch
from recipes.predict.figures import class_lines, draw_classes
from recipes.predict.trained import infer


def write_classes(
    model: Classification,
    classes: tuple[str, ...],
    windows: VideoWindows,
    batches: Iterator[WindowBatch],
    folder: Path,
) -> tuple[list[str], list[str]]:
    """Write the probabilities as a table and a figure; return a summary, and the files' names."""

    def probabilities(batch: AVBatch) -> Tensor:
        logits = model.logits(batch).mean
        return logits.sigmoid() if model.multilabel else logits.softmax(dim=1)

    values = torch.cat([infer(model, probabilities, some.to_batch()) for some in batches])
    spans = windows.spans
    rows = (
        [*(f"{time:.3f}" for time in span), *(f"{value:.4f}" for value in row)]
        for span, row in zip(spans, values.tolist(), strict=True)
    )
    write_csv(folder / "classes.csv", ["start", "end", *classes], rows)
    edges = [spans[0][0], *windows.nearest_until[:-1], spans[-1][1]]
    draw_classes(folder / "classes.png", values, classes=classes, edges=edges)
    return class_lines(values, classes=classes, edges=edges), ["classes.csv", "classes.png"]
