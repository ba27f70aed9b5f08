"""Localization and segmentation of a video: maps over its frames."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from avblocks.data import AVBatch
from avblocks.metrics import predicted_classes
from avblocks.tasks import LoadedTask, Localization, Segmentation
from avblocks.video import (
    Overlay,
    VideoWindows,
    WindowBatch,
    palette_overlay,
    video_size,
    write_overlays,
)
from avblocks.viz import MAP_STRENGTH, MASK_STRENGTH, class_colors, heat, scale_maps
from recipes.predict.figures import draw_legend
from recipes.predict.trained import Precision, infer

_LEVELS = 4096
"""Values of a map that are drawn differently: 16 for each color of `heat`."""


class MapVideo:
    """Overlays of a localizer or a segmenter over the frames of a video.

    Args:
        trained: The model.
        windows: Its windows of the video.
        precision: Precision of the model.
    """

    def __init__(self, trained: LoadedTask, windows: VideoWindows, *, precision: Precision) -> None:
        self.trained, self.windows = trained, windows
        self.precision: Precision = precision
        self.size = video_size(windows.path)
        self.file = f"{trained.name}.mp4"
        self.present: set[int] = set()
        """Numbers of the classes in the masks."""

    def overlays(self, batches: Iterator[WindowBatch]) -> Iterator[tuple[float, Overlay]]:
        """Yield the overlay of each window, over the frames that are nearest to its center."""
        values = (value for batch in batches for value in self._outputs(batch.to_batch()))
        for until, value in zip(self.windows.nearest_until, values, strict=True):
            large = F.interpolate(value[None], self.size, mode="bilinear", align_corners=False)
            yield until, self._overlay(large)

    def draw_legend(self, folder: Path) -> list[str]:
        """Draw the legend of the classes, if there are several; return the file's name."""
        task = self.trained.task
        if not isinstance(task, Segmentation) or task.binary:
            return []
        names = {number: self.trained.classes[number] for number in sorted(self.present - {0})}
        draw_legend(folder / "segmentation.png", names)
        return ["segmentation.png"]

    def _outputs(self, batch: AVBatch) -> Tensor:
        """Maps or logits, with channels."""
        match self.trained.task:
            case Localization() as model:
                return infer(model, model.maps, batch, precision=self.precision)[:, None]
            case Segmentation() as model:
                return infer(model, model.logits, batch, precision=self.precision)
            case task:
                raise TypeError(f"{type(task).__name__} makes no maps")

    def _overlay(self, large: Tensor) -> Overlay:
        """The drawing of outputs at the size of the video, as `avblocks.viz` draws them."""
        if isinstance(self.trained.task, Localization):
            levels = (scale_maps(large[:, 0])[0].nan_to_num() * _LEVELS).int().clamp(0, _LEVELS - 1)
            weights = (torch.arange(_LEVELS) + 0.5) / _LEVELS
            colors = heat(weights[None, None])[0, :, 0].T
            return palette_overlay(levels, colors=colors, opacity=MAP_STRENGTH * weights)
        mask = predicted_classes(large)[0]
        counts = mask.flatten().bincount()  # unlike unique, no sort
        self.present.update(counts.nonzero().flatten().tolist())
        numbers = torch.arange(len(counts))
        colors = class_colors(numbers[None, None])[0, :, 0].T
        return palette_overlay(mask, colors=colors, opacity=MASK_STRENGTH * (numbers > 0))


def write_map_videos(
    videos: Sequence[MapVideo], *batches: Iterator[WindowBatch], folder: Path
) -> list[list[str]]:
    """Write a video under the maps of each model, in one pass; return their files' names."""
    overlays = {
        folder / video.file: video.overlays(some)
        for video, some in zip(videos, batches, strict=True)
    }
    first = videos[0].windows
    audio = None if first.audio is None else (first.audio, first.offset)
    write_overlays(first.path, overlays, part=first.part, audio=audio)
    files = ([video.file, *video.draw_legend(folder)] for video in videos)
    return [[f"in {folder}: {' '.join(some)}"] for some in files]
