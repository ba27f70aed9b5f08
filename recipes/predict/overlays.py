"""Localization and segmentation of a video: maps over its frames."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch.nn.functional as F
from torch import Tensor

from avblocks.metrics import predicted_classes
from avblocks.tasks import Localization, Segmentation
from avblocks.video import (
    Overlay,
    VideoWindows,
    WindowBatch,
    make_overlay,
    video_size,
    write_overlay,
)
from avblocks.viz import mask_overlay, overlay
from recipes.predict.figures import draw_legend
from recipes.predict.trained import infer

Paint = Callable[[Tensor, Tensor], Tensor]  # outputs over two images, at the video's size


def write_localization(
    model: Localization, windows: VideoWindows, batches: Iterator[WindowBatch], folder: Path
) -> list[str]:
    """Write the video under heat maps of similarity to the audio; return the file's name."""

    def paint(maps: Tensor, images: Tensor) -> Tensor:
        return overlay(images, maps[:, 0].expand(2, -1, -1))

    outputs = (infer(model, model.maps, some.to_batch())[:, None] for some in batches)
    _write(windows, folder / "localization.mp4", outputs, paint)
    return ["localization.mp4"]


def write_segmentation(
    model: Segmentation,
    classes: tuple[str, ...],
    windows: VideoWindows,
    batches: Iterator[WindowBatch],
    folder: Path,
) -> list[str]:
    """Write the video under masks, and a legend if there are classes; return the files' names."""
    present: set[int] = set()

    def paint(logits: Tensor, images: Tensor) -> Tensor:
        mask = predicted_classes(logits)
        present.update(mask.unique().tolist())
        return mask_overlay(images, mask.expand(2, -1, -1))

    outputs = (infer(model, model.logits, some.to_batch()) for some in batches)
    _write(windows, folder / "segmentation.mp4", outputs, paint)
    if model.binary:
        return ["segmentation.mp4"]
    names = {number: classes[number] for number in sorted(present - {0})}
    draw_legend(folder / "segmentation.png", names)
    return ["segmentation.mp4", "segmentation.png"]


def _write(windows: VideoWindows, out: Path, outputs: Iterator[Tensor], paint: Paint) -> None:
    """Draw the outputs of each window over the frames that are nearest to its center."""
    size = video_size(windows.path)

    def overlays() -> Iterator[tuple[float, Overlay]]:
        values = (value for batch in outputs for value in batch)
        for until, value in zip(windows.nearest_until, values, strict=True):
            large = F.interpolate(value[None], size, mode="bilinear", align_corners=False)
            yield until, make_overlay(partial(paint, large), size)

    write_overlay(windows.path, out, overlays())
