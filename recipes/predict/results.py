"""What a trained model finds in a video, written into a folder."""

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from avblocks.csvlog import write_csv
from avblocks.data import AVBatch
from avblocks.tasks import (
    Classification,
    LoadedTask,
    Localization,
    Segmentation,
    Separation,
)
from avblocks.video import VideoWindows, WindowBatch
from recipes.predict.figures import class_lines, draw_classes
from recipes.predict.overlays import write_localization, write_segmentation
from recipes.predict.sources import Guides, write_sources
from recipes.predict.trained import infer


def write_results(
    trained: LoadedTask,
    windows: VideoWindows,
    batches: Iterator[WindowBatch],
    folder: Path,
    *,
    guides: Guides = "whole",
) -> list[str]:
    """Run a model on all windows of a video, in batches, and write the results.

    Returns lines for the user: a summary, and the names of the files.

    Raises:
        ClipError: If the video cannot be decoded; then nothing of this model is written.
    """
    summary: list[str] = []
    match trained.task:
        case Classification() as model:
            summary, files = _write_classes(model, trained.classes, windows, batches, folder)
        case Localization() as model:
            files = write_localization(model, windows, batches, folder)
        case Segmentation() as model:
            files = write_segmentation(model, trained.classes, windows, batches, folder)
        case Separation() as model:
            files = write_sources(model, windows, batches, folder, guides=guides)
        case _:
            raise TypeError(f"{trained.path}: no predictions for the task {trained.name}")
    remarks = [f"remark: {windows.remark}"] if windows.remark else []
    return [*remarks, *summary, f"in {folder}: {' '.join(files)}"]


def _write_classes(
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
