"""What each trained model finds in a file, written into a folder."""

import csv
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from avblocks.data import AVBatch
from avblocks.files import replacing
from avblocks.metrics import predicted_classes
from avblocks.tasks.classify import Classification
from avblocks.tasks.localize import Localization
from avblocks.tasks.segment import Segmentation
from avblocks.tasks.separate import Separation
from avblocks.video.film import Film
from avblocks.video.layer import Layer, layer
from avblocks.video.overlay import draw_over, shown_size
from avblocks.video.windows import Windows, windows
from avblocks.viz import mask_overlay, overlay
from recipes.predict.figures import class_lines, class_times, legend
from recipes.predict.sources import Guides, separate
from recipes.predict.trained import Trained, asked

Stream = Iterator[Windows]


def write_found(
    trained: Trained, film: Film, folder: Path, *, batch: int, guides: Guides = "whole"
) -> list[str]:
    """Ask a model about all windows of a file, and write what it finds.

    Args:
        trained: The model.
        film: The file.
        folder: Where to.
        batch: Windows at a time.
        guides: Of a separator.

    Returns:
        Lines to be read: what was found, and which files it wrote.

    Raises:
        ClipError: If the file cannot be decoded; then this model has written nothing.
    """
    stream = windows(film, batch=batch, about=trained.task)
    match trained.model:
        case Classification() as model:
            *lines, names = _classify(model, trained.classes, film, stream, folder)
        case Localization() as model:
            lines, names = [], _localize(model, film, stream, folder)
        case Segmentation() as model:
            lines, names = [], _segment(model, trained.classes, film, stream, folder)
        case Separation() as model:
            lines, names = [], separate(model, film, stream, folder, guides=guides)
        case _:
            raise TypeError(f"a model of no known task: {trained.task}")
    return [*lines, f"in {folder}: {names}"]


def _classify(
    model: Classification, classes: tuple[str, ...], film: Film, stream: Stream, folder: Path
) -> list[str]:
    def ask(batch: AVBatch) -> Tensor:
        logits = model.logits(batch).mean
        return logits.sigmoid() if model.multilabel else logits.softmax(dim=1)

    shares = torch.cat([asked(model, ask, some.batch()) for some in stream])
    spans = film.spans
    with (
        replacing(folder / "classes.csv") as half,
        half.open("w", newline="", encoding="utf-8") as file,
    ):
        table = csv.writer(file)
        table.writerow(["start", "end", *classes])
        for span, row in zip(spans, shares.tolist(), strict=True):
            table.writerow([*(f"{time:.3f}" for time in span), *(f"{x:.4f}" for x in row)])
    edges = [spans[0][0], *film.until[:-1], spans[-1][1]]
    class_times(folder / "classes.png", shares, classes=classes, edges=edges)
    return [*class_lines(shares, classes=classes, edges=edges), "classes.csv classes.png"]


def _localize(model: Localization, film: Film, stream: Stream, folder: Path) -> str:
    def paint(maps: Tensor, pictures: Tensor) -> Tensor:
        return overlay(pictures, maps[:, 0])

    def ask(batch: AVBatch) -> Tensor:
        return model.maps(batch)[:, None]

    out = folder / "localization.mp4"
    _overlay(film, out, (asked(model, ask, some.batch()) for some in stream), paint)
    return out.name


def _segment(
    model: Segmentation, classes: tuple[str, ...], film: Film, stream: Stream, folder: Path
) -> str:
    seen: set[int] = set()

    def paint(logits: Tensor, pictures: Tensor) -> Tensor:
        mask = predicted_classes(logits)
        seen.update(mask.unique().tolist())
        return mask_overlay(pictures, mask)

    out = folder / "segmentation.mp4"
    _overlay(film, out, (asked(model, model.logits, some.batch()) for some in stream), paint)
    if model.head.pred.out_channels == 1:
        return out.name
    legend(folder / "segmentation.png", {n: classes[n] for n in sorted(seen - {0})})
    return f"{out.name} segmentation.png"


def _overlay(
    film: Film, out: Path, found: Iterator[Tensor], paint: Callable[[Tensor, Tensor], Tensor]
) -> None:
    """Draw what was found of each window over the pictures around its middle."""
    size = shown_size(film.path)

    def layers() -> Iterator[tuple[float, Layer]]:
        values = (value for some in found for value in some)
        for until, value in zip(film.until, values, strict=True):
            large = F.interpolate(value[None], size, mode="bilinear", align_corners=False)
            yield until, layer(partial(paint, large.expand(2, -1, -1, -1)), size)

    draw_over(film.path, out, layers=layers(), size=size, zero=film.zero)
